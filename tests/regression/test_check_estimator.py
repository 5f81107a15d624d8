"""scikit-learn's own checks of an estimator, as far as 0/1 masks allow."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import validate_data

from subtrain.regression import ESTIMATORS, Lasso
from subtrain.regression.estimators.kit.contract import MODELS

NOT_MASKS = "the check feeds real numbers; masks are 0/1 and anything else is an InputError"
NAMES = "the arguments are called masks and outputs, what they are"
LABELS = "outputs of dtype object are refused in our words, not scikit-learn's"

OF_REAL_NUMBERS = [
    "check_dict_unchanged",
    "check_dont_overwrite_parameters",
    "check_dtype_object",
    "check_estimators_dtypes",
    "check_estimators_fit_returns_self",
    "check_estimators_nan_inf",
    "check_estimators_overwrite_params",
    "check_estimators_pickle",
    "check_f_contiguous_array_estimator",
    "check_fit2d_1feature",
    "check_fit2d_1sample",
    "check_fit2d_predict1d",
    "check_fit_check_is_fitted",
    "check_fit_idempotent",
    "check_methods_sample_order_invariance",
    "check_methods_subset_invariance",
    "check_n_features_in",
    "check_n_features_in_after_fitting",
    "check_non_transformer_estimators_n_iter",
    "check_pipeline_consistency",
    "check_positive_only_tag_during_fit",
    "check_readonly_memmap_input",
    "check_regressor_data_not_an_array",
    "check_regressor_multioutput",
    "check_regressors_int",
    "check_regressors_no_decision_function",
    "check_regressors_train",
    "check_supervised_y_2d",
]


# Of `LassoLarge`, which reads masks and outputs as `count` does, block by block from files.
OF_FILES = [
    "check_complex_data",
    "check_estimator_sparse_array",
    "check_estimator_sparse_matrix",
    "check_estimator_sparse_tag",
    "check_estimators_empty_data_messages",
    "check_requires_y_none",
]
FILES = "what cannot be read is refused in our words, not scikit-learn's"
# The checks have 2 validation models or so, too few to choose among candidates.
QUICK = {"shared-prior": {"ranks": (1,), "lasso": False, "sweeps": 20}}


def thresholded(cls: type) -> Any:
    """The estimator, which makes masks of real features, so that the checks above reach its code as well."""

    @dataclass(eq=False, repr=False)
    class Thresholded(cls):
        def _packed(self, masks, reset):
            features = validate_data(self, masks, dtype="numeric", reset=reset)
            return super()._packed(features > 0.7, reset=False)

        def __sklearn_tags__(self):
            tags = super().__sklearn_tags__()
            tags.regressor_tags.poor_score = True  # A bit is all that is left of each feature.
            return tags

    Thresholded.__name__ = Thresholded.__qualname__ = f"Thresholded{cls.__name__}"
    globals()[Thresholded.__name__] = Thresholded  # For pickle.
    return Thresholded(**QUICK.get(cls.name, {}))


PLAIN = [ESTIMATORS[name]() for name in ESTIMATORS]
FROM_COUNTS = [thresholded(cls) for cls in ESTIMATORS.values() if cls.reads != MODELS]


def expected(estimator: Any) -> dict[str, str]:
    if estimator in FROM_COUNTS:
        return {"check_fit_score_takes_y": NAMES, "check_dtype_object": LABELS}
    of_files = dict.fromkeys(OF_FILES, FILES) if estimator.name == "lasso-large" else {}
    return {"check_fit_score_takes_y": NAMES} | dict.fromkeys(OF_REAL_NUMBERS, NOT_MASKS) | of_files


# Those that are expected to fail are left out: that they fail would prove nothing, and their tracebacks cost more than
# all that hold.
EVERY = parametrize_with_checks([*PLAIN, *FROM_COUNTS], expected_failed_checks=expected)
HOLD = [one for one in EVERY.args[1] if not getattr(one, "marks", ())]


@pytest.mark.parametrize(EVERY.args[0], HOLD, **EVERY.kwargs)
def test_scikit_learn_checks(estimator, check) -> None:
    with warnings.catch_warnings():
        # The checks fit noise to ten models; that our own warnings name this is not what they are about.
        warnings.simplefilter("ignore")
        check(estimator)


def test_masks_that_are_not_masks_are_refused_in_one_sentence() -> None:
    x = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(ValueError, match="masks must hold only 0 and 1; row 0, unit 0 is"):
        Lasso().fit(x, x[:, 0])
