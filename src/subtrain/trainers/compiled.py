"""How the loops of this room are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(loop: Loop) -> Loop:
    """numba's njit, cached on disk and without the GIL, with the types kept for the type checker.

    "contract" lets a multiply and an add become one instruction; sums keep the order they are written in.
    """
    return cast(Loop, njit(cache=True, nogil=True, fastmath={"contract"})(loop))
