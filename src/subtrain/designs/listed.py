"""Designs of listed masks: these very subsets, each trained several times, in the same interface as drawn ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.arrays import concat
from subtrain.designs.defaults import DesignDefaults
from subtrain.designs.model_rows import EVALUATION, Block, Rows, row_numbers, whole
from subtrain.designs.samplers import training_seeds
from subtrain.errors import CorruptError, InputError
from subtrain.masks import Masks, row_bytes
from subtrain.store.npy_files import parse_npy
from subtrain.store.protocol import Store, read_capped


@dataclass(frozen=True, eq=False)
class ListedDesign(DesignDefaults):
    """k masks, each trained `runs` times; all of its models are for judging.

    listed: the masks, packed. Model i is run i // k of mask i % k, so that more runs are a pure append. groups: the
    unit of each training example, when units are groups. extensions: runs added later. same_seeds: run r has one
    training seed on all masks, so that masks can be compared within a seed.
    """

    listed: Masks
    runs: int
    seed: int
    groups: tuple[int, ...] | None = field(default=None, repr=False)
    extensions: tuple[int, ...] = ()
    kind: str = "listed"
    same_seeds: bool = False
    may_repeat = True

    def __post_init__(self) -> None:
        if not len(self.listed):
            raise InputError("there are no masks: list at least one")
        for runs in (self.runs, *self.extensions):
            if not isinstance(runs, (int, np.integer)) or runs < 1:
                raise InputError(f"every mask needs at least one run, got runs = {runs!r}")
        empty = np.flatnonzero(self.listed.sizes() == 0)
        if empty.size:
            raise InputError(f"mask {empty[0]} is empty: there would be nothing to train on")

    @property
    def n(self) -> int:
        """Units."""
        return self.listed.n

    @property
    def alpha(self) -> float:
        """Mean share of the units in a mask."""
        return round(float(self.listed.sizes().mean() / self.n), 4)

    @property
    def replicates(self) -> int:
        """Runs of each mask, those added later included."""
        return self.runs + sum(self.extensions)

    @property
    def rows(self) -> int:
        """Models in all."""
        return len(self.listed) * self.replicates

    @property
    def blocks(self) -> tuple[Block, ...]:
        """One block for the first runs and one for each extension; all of them over the same subsets."""
        k, found, row = len(self.listed), [], 0
        for runs in (self.runs, *self.extensions):
            found.append(Block(EVALUATION, k, runs, row, 0))
            row += k * runs
        return tuple(found)

    def role_rows(self, role: str) -> NDArray[np.int64]:
        """Row numbers with this role, ascending: all of them judge."""
        return np.arange(self.rows, dtype=np.int64) if role == EVALUATION else concat([])

    def subsets(self, rows: Rows | None = None) -> NDArray[np.int64]:
        """The number of each row's mask, int64."""
        return row_numbers(rows, self.rows) % len(self.listed)

    def masks(self, rows: Rows | None = None) -> Masks:
        """Packed masks of these rows (all by default)."""
        return self.listed[self.subsets(rows)]

    def alphas(self, rows: Rows | None = None) -> NDArray[np.float64]:
        """The share of the units in each of these rows, float64."""
        return np.asarray(self.masks(rows).sizes() / self.n)

    def seeds(self, rows: Rows | None = None) -> NDArray[np.uint32]:
        """Training seeds of these rows, uint32: a function of mask number and run, as in `Design`, or of the run."""
        runs, masks = np.divmod(row_numbers(rows, self.rows), len(self.listed))
        return training_seeds(self.seed, np.zeros_like(masks) if self.same_seeds else masks, runs)

    def extend(
        self, models: int = 0, heldout: int = 0, replicates: int | None = None, validation: int = 0, anchors: int = 0
    ) -> ListedDesign:
        """The same masks with `replicates` more runs of each; listed masks cannot become more."""
        if models or heldout or validation or anchors:
            raise InputError("a study of listed masks has no more subsets to draw: extend it by replicates alone")
        if not replicates:
            raise InputError("nothing to add: give replicates, more runs of each mask")
        return replace(self, extensions=(*self.extensions, int(replicates)))

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and strings; the masks as the name of a file and its digest."""
        return {
            "kind": self.kind,
            "masks": self.file,
            "sha256": self.listed.sha256(),
            "subsets": len(self.listed),
            "n": self.n,
            "runs": self.runs,
            "seed": self.seed,
            "groups": self.groups,
            # Studies of 0.1.0, which had no such seeds, keep their identity.
            **({"same_seeds": True} if self.same_seeds else {}),
        }

    @property
    def file(self) -> str:
        """Name in the study's store of the packed masks: `.npy`, uint8 [k, bytes], least significant bit first."""
        return f"masks-{self.listed.sha256()[:16]}.npy"

    def save(self, store: Store) -> None:
        """Put the masks where `from_manifest` finds them."""
        store.commit_new(self.file, lambda file: np.save(file, self.listed.data, allow_pickle=False))

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any], store: Store) -> ListedDesign:
        """Raises CorruptError if the masks are missing or not those that were listed."""
        data = manifest["design"]
        name, groups = data["masks"], data["groups"]
        try:
            # Not more than so many masks take, with the header of the file.
            most = whole("subsets", data["subsets"], 1) * row_bytes(whole("n", data["n"], 2)) + 4096
            masks = Masks(parse_npy(read_capped(store, name, most), store.location(name)), data["n"])
        except (FileNotFoundError, InputError) as error:
            raise CorruptError(f"the masks of {store.location()} are missing or damaged: {error}") from error
        if masks.sha256() != data["sha256"] or len(masks) != data["subsets"]:
            raise CorruptError(f"{store.location(name)} does not hold the masks that were listed: its sha256 differs")
        groups = None if groups is None else tuple(groups)
        return ListedDesign(masks, data["runs"], data["seed"], groups, same_seeds=bool(data.get("same_seeds")))
