"""Registries: parts of one kind by name, ours from a table, others' from the entry points of installed packages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from functools import cached_property
from importlib import import_module, metadata
from typing import Any

from subtrain.errors import InputError, SubtrainError


class Registry(Mapping[str, Any]):
    """Parts by name; a part is imported when it is asked for, and InputError says if it cannot be.

    Another package adds one with an entry point in `group`, whose name is the part's; a part of ours keeps its name.
    `suits` tells a part from what is none, and `be` says what it must be.

    >>> colors = Registry("color", "subtrain.colors", {"red": "colorsys:rgb_to_hsv"})
    >>> list(colors), colors["red"].__name__
    (['red'], 'rgb_to_hsv')
    >>> colors["rde"]
    Traceback (most recent call last):
    subtrain.errors.InputError: unknown color 'rde' (did you mean 'red'?); choose from red
    """

    def __init__(
        self, kind: str, group: str, ours: Mapping[str, str], suits: Callable[[Any], bool] = callable, be: str = ""
    ) -> None:
        self.kind, self.group = kind, group
        self._suits, self._be = suits, be or "a class or a function"
        self._ours = dict(ours)

    @cached_property
    def _places(self) -> dict[str, str]:
        others = {point.name: point.value for point in metadata.entry_points(group=self.group)}
        return {**self._ours, **{name: place for name, place in sorted(others.items()) if name not in self._ours}}

    def place(self, name: str) -> str:
        """Where the part is found, "module:attribute"; InputError for a name that nobody has registered."""
        if name not in self._places:
            raise InputError(f"unknown {self.kind} {name!r}{self.hint(name)}; choose from {', '.join(self._places)}")
        return self._places[name]

    def hint(self, name: str) -> str:
        """ " (did you mean 'support'?)" for a name that is near a registered one, else ""."""
        near = get_close_matches(name, self._places, 1)
        return f" (did you mean {near[0]!r}?)" if near else ""

    def __getitem__(self, name: str) -> Any:
        place = self.place(name)
        of = "" if name in self._ours else " of another package"
        try:
            module, colon, path = place.partition(":")
            if not colon:
                raise ImportError("a place is written module:attribute")
            found: Any = import_module(module)
            for part in filter(None, path.split(".")):
                found = getattr(found, part)
        except SubtrainError:
            raise
        except Exception as error:  # other people's code runs here
            why = f"{'' if isinstance(error, (ImportError, AttributeError)) else type(error).__name__ + ': '}{error}"
            raise InputError(f"the {self.kind} {name!r}{of} cannot be loaded from {place}: {why}") from error
        if not self._suits(found):
            raise InputError(f"the {self.kind} {name!r}{of}, {place}, must be {self._be}, not {type(found).__name__}")
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def forget(self) -> None:
        """Look for other packages anew at the next use: one may have been installed since, and parts added here go."""
        vars(self).pop("_places", None)

    def add(self, name: str, place: str) -> None:
        """Register a part for this process alone: workers and other processes know only entry points.

        Args:
            name: Name of the part; that of one that is there already is taken over.
            place: Where it is found, "module:attribute".
        """
        self._places[name] = place
