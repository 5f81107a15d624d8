"""A keyword that nobody takes is named, with the function that was called, before anything is read or trained."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest

import subtrain
from subtrain import Study, audit, collect, retrain
from subtrain.collection.keyword_checks import OptionError
from subtrain.collection.reference_module import collect_reference
from subtrain.errors import InputError


def takes_anything(value):
    return any(p.kind is p.VAR_KEYWORD and p.name == "options" for p in inspect.signature(value).parameters.values())


def public_functions():
    """Every public function that takes any keyword, by name: of the package's surface and of the uses behind it."""
    found = {name: getattr(subtrain, name) for name in subtrain.__all__}
    for module in pkgutil.iter_modules(importlib.import_module("subtrain.uses").__path__, "subtrain.uses."):
        found |= {k: v for k, v in vars(importlib.import_module(module.name)).items() if not k.startswith("_")}
    found["collect_reference"] = collect_reference
    # `retrained_without` is what `verify`, which checks, is made of.
    return {k: v for k, v in found.items() if inspect.isfunction(v) and k != "retrained_without" and takes_anything(v)}


FUNCTIONS = public_functions()


def test_the_list_is_not_empty():
    assert {"support", "compare_training_sets", "retrain", "collect", "audit", "compare_alphas"} <= set(FUNCTIONS)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
@pytest.mark.parametrize("error", [TypeError, InputError])
def test_an_unknown_keyword_is_named_as_such(name, error):
    function = FUNCTIONS[name]
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.POSITIONAL_ONLY)
    needed = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty and p.kind in kinds]
    with pytest.raises(error, match=rf"{name}\(\) has no keyword 'no_such_thing'; it takes {needed[0].name}") as caught:
        function(*[None] * len(needed), no_such_thing=1)
    assert "engine local" not in str(caught.value)


def test_a_near_miss_is_told(make_study):
    with pytest.raises(OptionError, match=r"has no keyword 'pairz' \(did you mean 'pairs'\?\)"):
        audit(None, pairz=3)
    with pytest.raises(OptionError, match=r"collect\(\) has no keyword 'wrokers' \(did you mean 'workers'\?\)"):
        make_study(done=False).collect(wrokers=1)


def test_options_of_another_engine_and_unknown_engines_are_refused_before_training(make_study):
    study = make_study(done=False)
    masks = [[True] * study.n]
    for call in (lambda **o: collect(study, **o), lambda **o: retrain(study, masks, **o)):
        with pytest.raises(InputError, match="engine local has no option partition; it has workers"):
            call(partition="gpu")
        with pytest.raises(InputError, match="unknown engine 'dask'"):
            call(engine="dask")
    assert not (study.path / "retrained").exists()


@pytest.mark.parametrize("method", ["create", "open", "extend", "status", "done", "masks", "read", "collect"])
def test_a_studys_methods_name_it_too(make_study, method):
    with pytest.raises(TypeError, match="no_such_thing"):
        getattr(make_study(done=False), method)(no_such_thing=1)
    assert callable(getattr(Study, method))
