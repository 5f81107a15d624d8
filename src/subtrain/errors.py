"""What can go wrong, each with one sentence a person can act on and an exit code of its own."""

from __future__ import annotations

from subtrain.formatting import visible


class SubtrainError(Exception):
    """Any error that subtrain raises on purpose. `exit_code` is what the command line exits with."""

    exit_code = 1

    def __str__(self) -> str:
        """The sentence. Names, labels and other people's errors in it may hold control characters: they are shown."""
        return visible(super().__str__())


class InputError(SubtrainError, ValueError):
    """An argument, a file or an array is not what it must be; nothing was written."""

    exit_code = 2


class MismatchError(SubtrainError):
    """A study was opened with another design or task than it was made with; the message shows the difference."""

    exit_code = 3


class CorruptError(SubtrainError):
    """A file is torn, truncated or altered; the message names it."""

    exit_code = 4


class CollectError(SubtrainError):
    """Models failed to train; everything that finished is kept."""

    exit_code = 5


class StorageError(SubtrainError):
    """The disk is full or cannot be written; nothing half-written is left in its place."""

    exit_code = 6
