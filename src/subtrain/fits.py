"""The fits of a study: datamodels below `fits/`, by name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from subtrain.datamodels import Datamodels, load_from, save_to
from subtrain.designs.model_rows import OWN_VALIDATION
from subtrain.errors import InputError
from subtrain.store.protocol import JSON_BYTES, read_capped
from subtrain.studies.manifest import UNSEALED
from subtrain.studies.stored_study import FIT_META, FITS, StoredStudy

# What `subtrain evaluate` writes beside a fit; it is of that fit alone.
EVALUATION = "evaluation.json"
# Where it says which fit that was: by the sha256 of its metadata, which hold those of its arrays.
OF = "fit_sha256"


def fit_prefix(name: str = "default") -> str:
    """Name in the store of the folder of this fit; InputError if it would leave the study."""
    if not name or "/" in name or name.startswith("."):
        raise InputError(f"a fit's name must be one plain folder name, got {name!r}")
    return f"{FITS}/{name}"


def save_fit(study: StoredStudy, dm: Datamodels, name: str = "default") -> str:
    """Keep datamodels in the study under this name, in place of any there; returns where they are."""
    folder = fit_prefix(name)
    study.store.delete(f"{folder}/{EVALUATION}")
    save_to(study.store, folder, dm)
    return study.store.location(folder)


def load_fit(study: StoredStudy, name: str = "default") -> Datamodels:
    """The datamodels of this name; InputError says which there are if it is not among them."""
    folder = fit_prefix(name)
    if name not in study.fits:
        say = f"there are {', '.join(study.fits)}" if study.fits else f"run subtrain fit {study.location} first"
        raise InputError(f"{study.location} has no fit named {name!r}: {say}")
    return load_from(study.store, folder, required=study.format != UNSEALED)


def digest_of(study: StoredStudy, name: str) -> str:
    """sha256 of a fit's metadata; "" if there is no such fit."""
    try:
        return hashlib.sha256(read_capped(study.store, f"{fit_prefix(name)}/{FIT_META}", JSON_BYTES)).hexdigest()
    except FileNotFoundError:
        return ""


def models_said(meta: Mapping[str, Any]) -> str:
    """How many models a fit has, in words: those to fit on, of how many the study plans, and those of the design that
    only choose lambda."""
    models, own = int(meta["models"]), int(meta.get("parts", {}).get(OWN_VALIDATION, 0))
    planned, pairs = int(meta.get("models_planned", 0)), int(meta.get("design", {}).get("pairs", 0))
    of = f" of {planned:,}" if models - own < planned else ""
    paired = f" ({pairs:,} pairs)" if pairs else ""
    chose = f" and {own:,} to choose lambda by" if own else ""
    return f"{models - own:,}{of} models{' to fit on' if own else ''}{paired}{chose}"
