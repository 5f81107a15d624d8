"""Two studies give the same files."""

from __future__ import annotations

from pathlib import Path

from subtrain import Study
from subtrain.studies.export import export


def same_exports(one: Study, other: Study, folder: Path) -> None:
    """Both are exported below this folder, and every file of the one is, byte for byte, that of the other."""
    roots = [folder / "exported" / side for side in ("one", "other")]
    for study, root in zip((one, other), roots, strict=True):
        export(study, root, "study")
    found = [sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file()) for root in roots]
    assert found[0] == found[1]
    assert sum(path.suffix == ".npy" for path in found[0]) == 1 + len(one.outputs)
    for path in found[0]:
        assert (roots[0] / path).read_bytes() == (roots[1] / path).read_bytes(), path
