"""What a store, an engine, a task, a design or an estimator must do, as checks that a package of its own can run.

Each module holds `CHECKS`, functions that raise AssertionError where a promise is not kept:

    @pytest.mark.parametrize("check", subtrain.testing.tasks.CHECKS)
    def test_my_task(check):
        check(my_task())
"""
