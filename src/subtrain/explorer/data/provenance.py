"""Where a study and its datamodels come from, and the commands that make them again."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from subtrain._version import __version__
from subtrain.datamodels import Datamodels
from subtrain.designs.anchors import usual_anchors
from subtrain.designs.drawn import Design
from subtrain.designs.model_rows import ANCHOR, EVALUATION, FIT, VALIDATION
from subtrain.regression.estimators import registered_name
from subtrain.study import Study

LONG = 400
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")
# The parameters of estimators that are options of `fit`.
TOLD = ("lambdas", "eps", "tol", "validation", "objective", "seed")


@dataclass(frozen=True)
class Provenance:
    """Facts by heading, the commands in parts that belong on one line, and what a reader should know about them."""

    facts: Mapping[str, Mapping[str, str]]
    commands: tuple[tuple[str, ...], ...]
    remarks: tuple[str, ...]


def provenance(study: Study, dm: Datamodels) -> Provenance:
    """What is known of how this study and these datamodels were made."""
    manifest = study.manifest
    commands, remarks = _commands(study, dm)
    facts = {
        "Study": {
            "name": study.name,
            "created": manifest.get("created", "unknown"),
            **_task(study),
            "task fingerprint": study.fingerprint[:16],
            "identity": study.identity[:16],
        },
        "Design": _design(study),
        "Fit": {k: v for k, v in dm.meta.items() if k not in ("study", "study_id", "notes")}
        or {"metadata": "none came with these datamodels"},
        "Made with": {
            **{f"{k}, models": v for k, v in manifest.get("versions", {}).items()},
            "subtrain, this page": __version__,
            "this page": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    }
    return Provenance(
        {heading: {key: _short(value) for key, value in some.items()} for heading, some in facts.items()},
        tuple(tuple(command) for command in commands),
        tuple(remarks),
    )


def _task(study: Study) -> dict[str, Any]:
    if study.source is None:
        return {"task": "not recorded"}
    return {"task": _file_name(study.source.name), **({"params": study.source.params} if study.source.params else {})}


def _design(study: Study) -> dict[str, Any]:
    found = {k: v for k, v in study.design.to_json().items() if v not in (None, (), [])}
    if "groups" in found:
        found["groups"] = f"{len(found['groups']):,} examples in {study.n:,} units"
    if "strata" in found:
        found["strata"] = f"{len(found['strata']['names']):,} classes of units"
    if "masks" in found:
        found["masks"] = Path(str(found["masks"])).name
    return found


def _commands(study: Study, dm: Datamodels) -> tuple[list[list[str]], list[str]]:
    folder = shlex.quote(study.name)
    remarks = []
    commands = []
    design = study.design.drawn
    if design is not None and not study.design.trained_elsewhere:
        commands.append(_create(study, design, folder))
        commands += [_extend(entry, folder) for entry in design.extensions]
        commands.append([f"subtrain collect {folder}"])
        if study.source is None:
            remarks.append("The task was made in Python and does not know its import path: name it in place of TASK.")
        if design.groups is not None:
            remarks.append("groups.npy stands for the array that names the unit of each training example.")
        if design.strata is not None:
            remarks.append(
                "strata.npy stands for the array of each unit's class; --stratified takes the task's labels instead."
            )
    else:
        remarks.append("The masks and outputs were made elsewhere and imported, so their training is not described.")
    remarks += [f"{note[:1].upper()}{note[1:]}." for note in dm.meta.get("notes", ())]
    commands += [_fit(dm, folder), [f"subtrain evaluate {folder}"], [f"subtrain report {folder}"]]
    return commands, remarks


def _create(study: Study, design: Design, folder: str) -> list[str]:
    source = study.source
    task = shlex.quote(_file_name(source.name)) if source else "TASK"
    params = [f"--param {shlex.quote(f'{k}={_param(v)}')}" for k, v in (source.params if source else {}).items()]
    options = {
        "alpha": ",".join(map(str, design.alpha_list)),
        "models": design.models,
        "heldout": design.heldout,
        "replicates": design.replicates,
        "kind": design.kind,
        "seed": design.seed,
        **({} if design.shared_seeds is None else {"seeds": design.shared_seeds}),
        **({"validation": design.validation} if design.validation or design.orthogonal else {}),
        **({"anchors": design.anchors} if design.anchors != usual_anchors(design.models, design.alpha) else {}),
        "segment": study.segment,
    }
    groups = ["--groups groups.npy"] if design.groups is not None else []
    strata = ["--strata strata.npy"] if design.strata is not None else []
    return [f"subtrain create {folder}", f"--task {task}", *params, *_options(options), *groups, *strata]


def _extend(entry: tuple[str, int, int], folder: str) -> list[str]:
    role, subsets, replicates = entry
    more = {
        FIT: {"models": subsets},
        VALIDATION: {"validation": subsets},
        ANCHOR: {"anchors": subsets},
        EVALUATION: {"heldout": subsets, "replicates": replicates},
    }[role]
    return [f"subtrain extend {folder}", *_options(more)]


def _fit(dm: Datamodels, folder: str) -> list[str]:
    output = {"output": dm.meta["output"]} if "output" in dm.meta else {}
    name, params = registered_name(str(dm.meta.get("estimator"))), dm.meta.get("params", {})
    if name is None:
        return [f"subtrain fit {folder}", *_options(output)]
    estimator = {} if name == "lasso" else {"estimator": name}
    known = {k: params[k] for k in TOLD if isinstance(params.get(k), (int, float, str))}
    return [f"subtrain fit {folder}", *_options({**output, **estimator, **known})]


def _options(values: Mapping[str, Any]) -> list[str]:
    return [f"--{key} {shlex.quote(str(value))}" for key, value in values.items()]


def _param(value: Any) -> str:
    """A parameter as the command line reads it: JSON, or bare text where that is no JSON."""
    if not isinstance(value, str):
        return json.dumps(value, default=str)
    try:
        json.loads(value)
    except json.JSONDecodeError:
        return value
    return json.dumps(value)


def _file_name(name: str) -> str:
    """The task's name; a file without the folders that lead to it, which are nobody else's business."""
    where, _, attribute = name.rpartition(":")
    return f"{Path(where).name}:{attribute}" if where.endswith(".py") else name


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        value = ", ".join(f"{k} = {v}" for k, v in value.items())
    if isinstance(value, float):
        return f"{value:.4g}"
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    if _TIME.fullmatch(text):
        text = text.replace("T", " ").replace("+00:00", " UTC")
    return text if len(text) <= LONG else text[: LONG - 1] + "…"
