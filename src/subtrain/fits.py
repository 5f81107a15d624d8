"""The fits of a study: folders of datamodels below `fits/`, by name."""

from __future__ import annotations

from pathlib import Path

from subtrain.datamodels import META, Datamodels
from subtrain.errors import InputError
from subtrain.store.study import FITS, Study


def fit_folder(study: Study, name: str = "default") -> Path:
    """Folder of the fit of this name; InputError if the name would leave the study."""
    if not name or name != Path(name).name or name.startswith("."):
        raise InputError(f"a fit's name must be one plain folder name, got {name!r}")
    return study.path / FITS / name


def load_fit(study: Study, name: str = "default") -> Datamodels:
    """The datamodels of this name; InputError says which there are if it is not among them."""
    folder = fit_folder(study, name)
    if not (folder / META).is_file():
        there = sorted(p.parent.name for p in (study.path / FITS).glob(f"*/{META}"))
        say = f"there are {', '.join(there)}" if there else f"run subtrain fit {study.path} first"
        raise InputError(f"{study.path} has no fit named {name!r}: {say}")
    return Datamodels.load(folder)
