"""Designs made elsewhere: masks given as a file, row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.arrays import concat
from subtrain.designs.defaults import DesignDefaults
from subtrain.designs.drawn import Design
from subtrain.designs.mask_survey import rows_at_a_time, survey
from subtrain.designs.model_rows import ANCHOR, EVALUATION, FIT, VALIDATION, Block, Rows, Span, row_numbers, whole
from subtrain.designs.orthogonal import SetLayout
from subtrain.errors import CorruptError, InputError
from subtrain.masks import Masks, pack, row_bytes
from subtrain.store.folder import Folder
from subtrain.store.npy_files import open_npy, open_verified, opened
from subtrain.store.protocol import Store

SUBSETS = "subsets.npy"
# What version 0.1.0 wrote instead: for the rows of evaluation only.
_OLD_SUBSETS = "evaluation_subsets.npy"


@dataclass(frozen=True, eq=False)
class ImportedDesign(DesignDefaults):
    """Masks from a .npy file [rows, n] (bool or 0/1), and which of its rows are for judging only.

    subset_ids: int64 [rows], the first row with the same mask: equal where models share theirs. None where that was
    not looked at: then it is when it is asked for. unfilled: rows that nobody ever wrote, left out of everything.
    pct: alpha as the files' names had it, in percent, "" if they had none. sha256: of the file if the study holds it.
    validation: rows that choose lambda; anchors: rows that tell the level; recorded: the design that drew the masks,
    where its models have pairs or seeds in common and an export of ours told it.
    """

    masks_file: Path
    rows: int
    n: int
    alpha: float
    evaluation: tuple[Span, ...]
    subset_ids: NDArray[np.int64] | None = field(default=None, repr=False)
    unfilled: tuple[Span, ...] = ()
    pct: str = ""
    kind: str = "given"
    sha256: str | None = field(default=None, repr=False)
    validation: tuple[Span, ...] = ()
    anchors: tuple[Span, ...] = ()
    recorded: Design | None = field(default=None, repr=False)
    groups = None
    replicates = 1
    trained_elsewhere = True
    can_extend = False
    may_repeat = True

    @property
    def percent(self) -> str:
        return self.pct or super().percent

    @property
    def files(self) -> Mapping[str, tuple[Path, str | None]]:
        return {"masks": (self.masks_file, self.sha256)}

    def masks(self, rows: Rows | None = None) -> Masks:
        known = self.sha256
        source = open_npy(self.masks_file) if known is None else open_verified(self.masks_file, known)
        if source.shape != (self.rows, self.n):
            was = [self.rows, self.n]
            raise InputError(f"{self.masks_file} has shape {list(source.shape)}, it had {was} when it was imported")
        return given_masks(source, row_numbers(rows, self.rows))

    @property
    def drawn(self) -> Design | None:
        return self.recorded

    @property
    def orthogonal(self) -> bool:
        return self.recorded is not None and self.recorded.orthogonal

    def layout(self, rows: Rows) -> SetLayout | None:
        if self.recorded is None or (self.recorded.fit_numbers(rows) < 0).any():
            return None
        return self.recorded.layout(rows)

    def crosstalk(self, rows: Rows) -> float:
        return 1.0 if self.recorded is None else self.recorded.crosstalk(rows)

    def alphas(self, rows: Rows | None = None) -> NDArray[np.float64]:
        if self.recorded is not None:
            return self.recorded.alphas(rows)
        raise InputError(
            "this study was imported and does not know the alpha of each model: give them with the masks, as in "
            "AME().fit(masks, outputs, alpha)"
        )

    def seeds(self, rows: Rows | None = None) -> NDArray[np.uint32]:
        raise InputError("the models of this study were trained elsewhere, with seeds that it does not know")

    def extend(
        self, models: int = 0, heldout: int = 0, replicates: int | None = None, validation: int = 0, anchors: int = 0
    ) -> ImportedDesign:
        raise InputError("an imported study has no design to draw more models from")

    def role_rows(self, role: str) -> NDArray[np.int64]:
        spans = {EVALUATION: self.evaluation, VALIDATION: self.validation, ANCHOR: self.anchors}
        others = {name: concat([np.arange(start, stop) for start, stop in some]) for name, some in spans.items()}
        if role != FIT:
            return others[role]
        return np.setdiff1d(np.arange(self.rows, dtype=np.int64), concat(list(others.values())))

    def subsets(self, rows: Rows | None = None) -> NDArray[np.int64]:
        if self.subset_ids is None:
            object.__setattr__(self, "subset_ids", survey(self.masks_file).first)
        assert self.subset_ids is not None
        return self.subset_ids[row_numbers(rows, self.rows)]

    @property
    def blocks(self) -> tuple[Block, ...]:
        found, row = [], 0
        for role in (FIT, EVALUATION, *([VALIDATION] if self.validation else []), *([ANCHOR] if self.anchors else [])):
            count = self.role_rows(role).size
            found.append(Block(role, count, 1, row, row))
            row += count
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "masks": str(self.masks_file),
            "rows": self.rows,
            "n": self.n,
            "alpha": self.alpha,
            "evaluation": [list(r) for r in self.evaluation],
            **({"unfilled": [list(r) for r in self.unfilled]} if self.unfilled else {}),
            **({"pct": self.pct} if self.pct else {}),
            **({"validation": [list(r) for r in self.validation]} if self.validation else {}),
            **({"anchors": [list(r) for r in self.anchors]} if self.anchors else {}),
            **({"recorded": self.recorded.to_json()} if self.recorded else {}),
        }

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any], store: Store) -> ImportedDesign:
        """The design of a study in a folder; the digests in study.json are of files that lie in the study."""
        root = store.path()
        if root is None:
            raise InputError(f"{store.location()} was imported, and an imported study must be in a folder")
        data, digests = manifest["design"], manifest.get("sha256", {})
        known, ids = Folder(root).path(SUBSETS), None
        if SUBSETS in digests:
            ids = np.array(open_verified(known, digests[SUBSETS]))
        elif known.is_file() or not Folder(root).path(_OLD_SUBSETS).is_file():
            ids = np.array(open_npy(known))
        rows, n = whole("rows", data["rows"], 2), whole("n", data["n"], 2)
        if ids is not None and ids.shape != (rows,):
            raise CorruptError(f"{known} is for {list(ids.shape)} rows, but {root} has {rows}")
        some = data["evaluation"], data.get("unfilled", ()), data.get("validation", ()), data.get("anchors", ())
        evaluation, unfilled, validation, anchors = (_spans(spans, rows) for spans in some)
        place, pct, digest = root / data["masks"], str(data.get("pct", "")), digests.get(data["masks"])
        recorded = Design.from_json(data["recorded"]) if "recorded" in data else None
        if recorded is not None and (recorded.rows, recorded.n) != (rows, n):
            raise InputError(f"its recorded design is of {recorded.rows} models over {recorded.n} units")
        which = place, rows, n, data["alpha"], evaluation, ids, unfilled, pct
        return ImportedDesign(*which, sha256=digest, validation=validation, anchors=anchors, recorded=recorded)


def _spans(spans: Any, rows: int) -> tuple[Span, ...]:
    """Ranges of rows; InputError for those that are not among the study's."""
    found = tuple((whole("rows", a), whole("rows", b)) for a, b in spans)
    if any(not a <= b <= rows for a, b in found):
        raise InputError(f"the rows {str(found)[:60]} are not among the {rows} rows")
    return found


def given_masks(masks: Any, rows: NDArray[np.int64]) -> Masks:
    """Packed masks of these rows of a .npy file or an array, read a block at a time."""
    source = np.asarray(opened(masks))
    out = np.zeros((rows.size, row_bytes(source.shape[1])), np.uint8)
    chunk = rows_at_a_time(source)
    for start in range(0, rows.size, chunk):
        out[start : start + chunk] = pack(np.asarray(source[rows[start : start + chunk]])).data
    return Masks(out, source.shape[1])
