"""Errors that a user can act on: what happened, where, what was expected, what to do."""

from __future__ import annotations

from typing import ClassVar


def printable(text: str) -> str:
    """`text` with what no screen should get, such as control characters in a file's name, escaped.

    >>> printable("a\\x1b[31m.nii")
    'a\\\\x1b[31m.nii'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class VertsegError(Exception):
    """Base of all errors meant for the user.

    >>> print(VertsegError("the file is truncated", "a.nii", "2048 bytes", "Copy it again."))
    a.nii: the file is truncated (expected 2048 bytes). Copy it again.

    Attributes:
        what: what went wrong, one clause (``"the file is truncated"``).
        where: file, option or stage it concerns; may be empty.
        expected: what would have been right; may be empty.
        remedy: what the user can do about it; may be empty.
        exit_code: process exit code this kind of error stands for.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, where: str = "", expected: str = "", remedy: str = "") -> None:
        # All fields go to Exception.args, so that errors survive pickling between processes.
        super().__init__(what, where, expected, remedy)
        self.what = what
        self.where = where
        self.expected = expected
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        if self.expected:
            text += f" (expected {self.expected})"
        return printable(f"{text}. {self.remedy}" if self.remedy else text)


class ConfigurationError(VertsegError):
    """Bad options, weights missing, changed or of another preset, device not usable."""

    exit_code: ClassVar[int] = 1


class InputError(VertsegError):
    """One input cannot be used; the run continues with the other cases."""

    exit_code: ClassVar[int] = 2


class OutputError(VertsegError):
    """One output cannot be written (disk full, folder read-only); no partial file is left."""

    exit_code: ClassVar[int] = 2


class NoInputError(VertsegError):
    """There is nothing to run on."""

    exit_code: ClassVar[int] = 3
