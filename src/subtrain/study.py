"""A study, the face of everything: create or open it, collect its models, fit datamodels, export it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, Self
from weakref import finalize

from numpy.typing import ArrayLike

from subtrain.collection import collect
from subtrain.collection.status import Status, status
from subtrain.collection.tally import Collected
from subtrain.datamodels import Datamodels
from subtrain.guess_models.collect_with_guess import collect_with_guess
from subtrain.regression import fit
from subtrain.store.memory import IN_MEMORY
from subtrain.studies.export import export
from subtrain.studies.imports.arrays import import_arrays, import_folder
from subtrain.studies.imports.reference import beside, import_reference
from subtrain.studies.stored_study import StoredStudy
from subtrain.system.paths import local_path
from subtrain.system.user_warning import warn_user
from subtrain.tasks.base import View


class Study(StoredStudy):
    """A design, a task and the outputs of every model so far, in one folder or bucket.

    Make one with `Study.create`, find it again with `Study.open`; `Study.from_arrays`, `from_folder` and
    `from_reference` make one of models that were trained elsewhere.

    >>> import subtrain as st
    >>> study = st.Study.create(":memory:", st.tasks.digits(n=50), st.Design(alpha=0.5, models=200, heldout=4))
    >>> study.collect(progress=False).done
    226
    >>> study.fit("test_margins")
    Datamodels(units=50, targets=300, nonzero=... a target, output='test_margins')
    """

    @property
    def where(self) -> str:
        """The name that version 0.1 had for `location`."""
        warn_user("Study.where is removed in the next release: write Study.location", FutureWarning)
        return self.location

    def collect(self, *, guess: int | None = None, **options: Any) -> Collected:
        """Train what is missing; the options are those of `subtrain.collect`.

        guess: of how many of the first models influence tables are computed as they are trained, for
        `SharedPrior(guess="default")`; by default of none.
        """
        return collect(self, **options) if guess is None else collect_with_guess(self, guess, **options)

    def status(self) -> Status:
        """Models done, running and failed, disk used and to come, as the store shows it now."""
        return status(self)

    def fit(self, output: str | None = None, estimator: Any = None, **options: Any) -> Datamodels:
        """A datamodel for every target of one output; the options are those of `subtrain.fit`."""
        return fit(self, output, estimator, **options)

    def export(self, folder: str | Path, name: str | None = None) -> list[Path]:
        """Write masks and outputs in the public layout below `folder`; returns the paths written."""
        return export(self, folder, name)

    @classmethod
    def from_arrays(
        cls,
        path: str | Path,
        masks: str | Path | ArrayLike,
        outputs: Mapping[str, str | Path | ArrayLike],
        heldout: int | None = None,
        evaluation: list[list[int]] | None = None,
        better: str | Mapping[str, str] | None = None,
        labels: ArrayLike | None = None,
        left_out: int = 0,
        view: View | None = None,
    ) -> Self:
        """A study of masks and outputs that were made elsewhere; row i of each is model i.

        Rows that were never filled (a mask without units, and outputs of 0 or NaN) count as missing, as a note says.

        Args:
            path: Folder of the new study, or ":memory:" for a temporary folder that goes when nobody holds the study.
            masks: Bool or 0/1 [models, n], as an array or the path of a .npy file. A file is read where it lies, an
                array is saved in the study.
            outputs: By name, any float type [models, …], as for masks.
            heldout: Number of rows at the end that only evaluate. Default None: the last 10,000 of 20,000 rows or more,
                as in the published data, else the last tenth.
            evaluation: Ranges [start, stop) of the rows that only evaluate, in place of heldout. Default None.
            better: "higher", "lower" or "neither" for all outputs, or by their names. Default None: as their names
                tell ("losses" does).
            labels: Int [N], classes of the test targets. Default None. With them, test_margins are compared with
                test_logits.
            left_out: Number of models that were to be trained and are not among the rows; fits say it. Default 0.
            view: What is shown of units and targets. Default None: the labels, if they are given.

        Returns:
            The study. Its models were trained elsewhere, so it cannot retrain by itself: `retrain` takes a task.

        Raises:
            InputError: For lengths that differ, masks that are not 0/1, and a folder that is a study already.
            CorruptError: For margins that are not those of the logits.

        Example:
            >>> masks = np.random.default_rng(0).random((60, 9)) < 0.5
            >>> made = st.Study.from_arrays(":memory:", masks, {"test_margins": masks[:, :2] + 0.5})
            >>> made.models, made.n, made.read("test_margins").shape
            (60, 9, (60, 2))
        """

        def make(folder: str | Path) -> object:
            return import_arrays(folder, masks, outputs, heldout, evaluation, better, labels, left_out, view)

        return cls._imported(path, make)

    @classmethod
    def from_folder(
        cls,
        path: str | Path,
        folder: str | Path,
        pct: str | None = None,
        heldout: int | None = None,
        verify: bool = True,
        progress: Callable[[str, int, int], None] | None = None,
        better: str | Mapping[str, str] | None = None,
        labels: ArrayLike | None = None,
    ) -> Self:
        """A study of a folder in the public layout: train_masks_{PCT}pct.npy, and outputs of the same PCT beside it.

        Args:
            path: Folder of the new study, or ":memory:" for a temporary folder that goes when nobody holds the study.
            folder: The folder of the files, or the parent of its folder `data`. The files are read where they lie.
            pct: Alpha as the files' names have it in percent ("50"), or as a share ("0.5"). Default None: the only one.
            heldout: Number of rows at the end that only evaluate. Default None: as study_{PCT}pct.json says, which our
                own exports have, else as for `from_arrays`.
            verify: Whether every file that has its sha256 beside it is read and compared first. Default True.
            progress: Called with file, bytes done and bytes in all while that happens. Default None.
            better: As for `from_arrays`. Default None.
            labels: As for `from_arrays`. Default None.

        Returns:
            The study.

        Raises:
            InputError: For a folder without masks, or with masks of several alphas where pct names none.
            CorruptError: For a file that is not as its sha256 says. Nothing is written then.

        Example:
            >>> _ = study.export("out", name="digits")
            >>> st.Study.from_folder(":memory:", "out/digits").models == study.models
            True
        """

        def make(place: str | Path) -> object:
            return import_folder(place, folder, pct, heldout, verify, progress, better, labels)

        return cls._imported(path, make)

    @classmethod
    def from_reference(
        cls,
        logdir: str | Path,
        path: str | Path | None = None,
        masks: str | None = None,
        heldout: int | None = None,
        spec: str | Path | None = None,
    ) -> Self:
        """A study of a folder that the training workers of the reference code filled, finished or not.

        If rows are not marked as completed, the completed ones are copied into the study; else arrays are read where
        they lie. It may be a folder that `subtrain collect --reference-module` is filling: then the models that are
        finished so far are copied.

        Args:
            logdir: The workers' folder, which is only read.
            path: Folder of the new study, or ":memory:" for a temporary folder that goes when nobody holds the study.
                Default None: LOGDIR-study beside the logdir.
            masks: Key of the array that says who was trained on whom. Default None: "masks", else the only array of 0
                and 1 whose name holds "mask".
            heldout: Number of rows at the end that only evaluate. Default None: a tenth.
            spec: The spec.json that the logdir was made with. Default None: every .npy file with a row a model counts.

        Returns:
            The study.

        Raises:
            InputError: For a folder that is not such a logdir, and arrays that are not as its spec says.
        """
        place = beside(local_path(logdir)) if path is None else path
        return cls._imported(place, lambda folder: import_reference(logdir, folder, masks, heldout, spec))

    @classmethod
    def _imported(cls, path: str | Path, make: Callable[[str | Path], object]) -> Self:
        """The study that `make` imports into the folder that it is given."""
        if str(path) != IN_MEMORY:
            make(path)
            return cls.open(path)
        folder = Path(mkdtemp(prefix="subtrain-"))
        try:
            make(folder)
            found = cls.open(folder)
        except BaseException:
            rmtree(folder, ignore_errors=True)
            raise
        finalize(found.store, rmtree, folder, ignore_errors=True)
        return found
