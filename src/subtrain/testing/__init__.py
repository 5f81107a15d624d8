"""What a store, an engine, a task, a design or an estimator must do, as checks that a package of its own can run.

Each module has a function that runs all its checks: `stores.check_store`, `engines.check_engine`, `tasks.check_task`,
`designs.check_design` and `estimators.check_estimator`. `CHECKS` holds the checks one by one:

    @pytest.mark.parametrize("check", subtrain.testing.tasks.CHECKS)
    def test_my_task(check):
        check(my_task())
"""
