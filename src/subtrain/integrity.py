"""Everything that a study keeps, read and compared with the digests that it was written with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from subtrain.collection.status import check
from subtrain.collection.tally import RUNNERS
from subtrain.collection.workers.train_segment import read_failure
from subtrain.datamodels import PT, TORCH, split_meta
from subtrain.errors import CorruptError, InputError
from subtrain.explorer.data.leakage_review import REVIEWS
from subtrain.explorer.data.sidecar import FOLDER, examine_sidecar
from subtrain.fits import EVALUATION, OF, digest_of, fit_prefix, load_fit
from subtrain.guesses import GUESSES, META, guess_prefix, load_guess
from subtrain.regression.counting import saved_counts
from subtrain.regression.counting.study_counts import COUNTS
from subtrain.store.protocol import read_json
from subtrain.store.seal import read_sealed, verify_bytes, verify_file
from subtrain.studies.manifest import EXTENSIONS, MANIFEST, UNSEALED, extension_files
from subtrain.studies.segments import npy_writer, segment_file
from subtrain.studies.segments.output_rows import ArrayRows
from subtrain.studies.stored_study import FAILURES, FIT_META, FITS, LOGS, PARTIAL, SEGMENTS
from subtrain.studies.view.stored_view import read_view
from subtrain.study import Study
from subtrain.uses.retrain import FOLDER as RETRAINED

_OURS = {SEGMENTS, EXTENSIONS, FAILURES, FITS, LOGS, PARTIAL, RUNNERS, COUNTS, REVIEWS, RETRAINED, GUESSES}
_OURS |= {"slurm", "arrays", "view"}
_MASKS = "masks-"
_SINGLE = {MANIFEST, "report.html", "subsets.npy", "evaluation_subsets.npy"}


@dataclass
class Examined:
    """damage: one sentence for everything that is not as it was written; notes: what could not be checked, or is not
    the study's."""

    damage: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def attempt(self, read: Callable[..., object], *args: Any) -> None:
        """Read something; what is wrong with it joins the damage."""
        try:
            read(*args)
        except FileNotFoundError:
            return
        except (CorruptError, InputError) as error:
            self.damage.append(str(error))


def examine(study: Study) -> Examined:
    """Read every byte of a study's segments, fits, guesses, evaluations, tables, reviews, failures, retrained models.

    What the study itself says (study.json, extensions, listed masks) was compared when it was opened.
    """
    found = Examined(check(study))
    if study.format == UNSEALED:
        found.notes.append(
            f"{study.location} was made by version 0.1.0, without digests of {MANIFEST} and the extensions: not checked"
        )
    _arrays(study, found)
    found.attempt(_view, study)
    for name in sorted({file.split("/")[1] for file in study.store.names(FITS) if file.count("/") > 1}):
        _fit(study, name, found)
    for name in sorted({file.split("/")[1] for file in study.store.names(GUESSES) if file.count("/") > 1}):
        _guess(study, name, found)
    for file in study.store.names(REVIEWS):
        found.attempt(read_sealed, study.store, file, study.format != UNSEALED)
    for file in study.store.names(FAILURES):
        found.attempt(read_failure, study, file)
    _counts(study, found)
    for place in _retrained(study):
        found.attempt(_inner, place, found)
    found.notes += _strangers(study)
    return found


def _inner(place: Path, into: Examined) -> None:
    into.damage += examine(Study.open(place)).damage


def _view(study: Study) -> None:
    """Read all that is stored of the examples; each part is compared with its digest when it is asked for."""
    view = read_view(study.store, study.fingerprint)
    if view is not None:
        for part in (view.images, view.labels, view.texts):
            for split in part:
                _ = part[split]
        for columns in view.tables.values():
            for name in columns:
                _ = columns[name]


def _arrays(study: Study, found: Examined) -> None:
    """The arrays of an imported study, as far as there are digests of them."""
    if not isinstance(study.rows, ArrayRows):
        return
    outputs = {name: (path, study.rows.digests.get(name)) for name, path in study.rows.files.items()}
    for path, digest in {**study.design.files, **outputs}.values():
        if digest is not None:
            found.attempt(verify_file, path, digest)
            continue
        with suppress(FileNotFoundError):
            try:
                if not npy_writer.verify(path):
                    found.notes.append(f"{path} has no digest: not checked")
            except CorruptError as error:
                found.damage.append(str(error))


def _fit(study: Study, name: str, found: Examined) -> None:
    store, folder = study.store, fit_prefix(name)
    if not store.exists(f"{folder}/{FIT_META}"):
        found.notes.append(f"{store.location(folder)} is not finished: fit again, or delete it")
        return
    strict = study.format != UNSEALED

    def arrays() -> None:
        meta = f"{folder}/{FIT_META}"
        _, digests = split_meta(read_json(store, meta), store.location(meta), strict)
        load_fit(study, name)
        if digests is None:
            found.notes.append(f"{store.location(folder)} was written by version 0.1.0, without digests: not checked")
        elif PT in digests:
            if not store.exists(f"{folder}/{TORCH}"):
                raise CorruptError(f"{store.location(f'{folder}/{TORCH}')} is missing: fit again to make it anew")
            path = store.path(f"{folder}/{TORCH}")
            if path is not None:
                verify_file(path, digests[PT])
            else:
                verify_bytes(store.read(f"{folder}/{TORCH}"), digests[PT], store.location(f"{folder}/{TORCH}"))

    found.attempt(arrays)
    if store.exists(f"{folder}/{EVALUATION}"):
        found.attempt(_evaluation, study, name)
    found.attempt(examine_sidecar, study, name)
    known = {FIT_META, TORCH, EVALUATION, "weight.npy", "bias.npy", "lam.npy", "error.npy", "level.npy"}
    for file in store.names(folder):
        rest = file.removeprefix(f"{folder}/")
        if rest not in known and not rest.startswith(f"{FOLDER}/"):
            found.notes.append(f"{store.location(file)} is no file of a fit")


def _guess(study: Study, name: str, found: Examined) -> None:
    """The arrays of a guess; its tables that are not added up yet are looked at when they are."""
    store, folder = study.store, guess_prefix(name)
    if not store.exists(f"{folder}/{META}"):
        found.notes.append(f"{store.location(folder)} is not finished: guess again, or delete it")
        return
    found.attempt(load_guess, study, name)


def _evaluation(study: Study, name: str) -> None:
    file = f"{fit_prefix(name)}/{EVALUATION}"
    of = read_sealed(study.store, file, study.format != UNSEALED).get(OF)
    if of is not None and of != digest_of(study, name):
        raise CorruptError(f"{study.store.location(file)} is not of the datamodels beside it: evaluate them again")


def _counts(study: Study, found: Examined) -> None:
    root = study.local / COUNTS
    for head in sorted(root.rglob(saved_counts.HEAD)) if root.is_dir() else ():
        found.attempt(saved_counts.load, head.parent)


def _retrained(study: Study) -> Iterator[Path]:
    root = study.store.path()
    if root is not None and (root / RETRAINED).is_dir():
        for place in sorted(root.joinpath(RETRAINED).rglob(MANIFEST)):
            yield place.parent


def _strangers(study: Study) -> Iterator[str]:
    """Files that no version of subtrain puts where they are."""
    planned = set(extension_files(study.store))
    for file in study.store.names():
        first, slash, rest = file.partition("/")
        if first == SEGMENTS:
            ours = segment_file.parse_file_name(rest) is not None
        elif first == EXTENSIONS:
            ours = file in planned
        else:
            ours = first in _OURS if slash else file in _SINGLE or file.startswith(_MASKS)
        if not ours:
            yield f"{study.store.location(file)} is no file of a study: not read"
