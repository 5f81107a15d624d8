"""fastargs as the reference worker sets it up: its section `worker` declared, what nobody declares passed by."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from subtrain.errors import InputError

WORKER = "worker"
# Parameters of that section: type, then its other settings.
_PARAMS: dict[str, tuple[type, dict[str, Any]]] = {
    "index": (int, {"default": -99999999}),
    "main_import": (str, {"required": True}),
    "logdir": (str, {"default": ""}),
    "do_if_complete": (bool, {"is_flag": True}),
    "job_timeout": (int, {"default": 99999999}),
}


def declare_worker() -> None:
    """Declare the section `worker`, so that a module's own strict parse accepts a worker's arguments.

    Nothing happens where fastargs is not installed: then no module uses it.
    """
    try:
        from fastargs import Param, Section, get_current_config  # type: ignore[import-untyped]
    except ImportError:
        return
    config = get_current_config()
    missing = {name: about for name, about in _PARAMS.items() if (WORKER, name) not in config.entries}
    if missing:
        Section(WORKER).params(**{name: Param(kind, name, **more) for name, (kind, more) in missing.items()})


def collect_arguments(module: str, args: Sequence[str], loaded: bool = True) -> None:
    """Fill fastargs' configuration from sys.argv, as a fresh process of the reference's worker has it.

    From then on a module that parses again passes by what is not declared, as it does there. Raises InputError for a
    parameter that lacks its value or has a wrong one, and for one of `args` that the module, once `loaded`, does not
    declare.
    """
    if "fastargs" not in sys.modules:
        return
    config = sys.modules["fastargs"].get_current_config()
    config.content.clear()
    unknown: list[str] = []

    def collect_known(parser: ArgumentParser, disable_help: bool = False) -> Any:
        found, unknown[:] = parser.parse_known_args([word for word in sys.argv[1:] if word != "--help"])
        for file in found.config_file:
            config.collect_config_file(file)
        config.collect({name: value for name, value in vars(found).items() if name != "config_file"})
        return config.collect_env_variables()

    config.collect_argparse_args = collect_known
    parser = ArgumentParser(prog=module, allow_abbrev=False)
    try:
        config.augment_argparse(parser)
        config.collect_argparse_args(parser)
    except SystemExit:
        raise InputError(f"{module} does not take the arguments {' '.join(args)}") from None
    except Exception as error:  # A configuration file can fail in many ways: not there, no YAML, no parser of YAML.
        raise InputError(f"{module} cannot read its configuration: {type(error).__name__}: {error}") from error
    if loaded:
        _check(module, config, [word for word in unknown if word.startswith("--")])


def _check(module: str, config: Any, unknown: list[str]) -> None:
    own = [path for path in config.entries if path[0] != WORKER]
    if unknown and own:
        takes = ", ".join(f"--{'.'.join(path)}" for path in own)
        raise InputError(f"{module} takes no argument {unknown[0].partition('=')[0]}; it takes {takes}")
    for path, error in config.validate(mode="errordict").items():
        name = f"--{'.'.join(path)}"
        if type(error).__name__ == "MissingValueError":
            raise InputError(f"{module} needs the argument {name}: add {name}=VALUE to the command")
        raise InputError(f"{module} cannot take {config.content.get(path)!r} for {name}")
