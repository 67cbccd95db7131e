"""All files below the input folder; what cannot be accessed is reported."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from vertseg.errors import InputError
from vertseg.io.formats import split_suffix

_REMEDY = "Check its permissions and the file system, then run again."


def walk(
    root: Path, without: Path | None, trouble: list[InputError], entered: set[str]
) -> Iterator[Path]:
    """All files of a folder and those below; links are followed, each folder is entered once.

    Args:
        root: where to begin.
        without: a folder that is not entered, such as that of the outputs.
        trouble: gets folders, and what may be one, that cannot be accessed.
        entered: real paths of folders that were entered before; is added to.
    """
    pending = deque([root])
    outputs = os.path.realpath(without) if without is not None else ""
    while pending:
        folder = pending.popleft()
        real = os.path.realpath(folder)
        if real in entered or (real == outputs and folder != root):
            continue
        entered.add(real)
        try:
            paths = [folder / name for name in sorted(os.listdir(folder))]
        except OSError as error:
            what = f"cannot be searched: {error.strerror or error}"
            trouble.append(InputError(what, str(folder), remedy=_REMEDY))
            continue
        kinds = {path: _is_folder(path, trouble) for path in paths}
        pending.extend(p for p in paths if kinds[p] and not p.name.startswith("."))
        yield from (path for path in paths if kinds[path] is False)


def _is_folder(path: Path, trouble: list[InputError]) -> bool | None:
    """None if unknown; what has the name of a scan then counts as a file until it is read."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except FileNotFoundError:  # a link that leads nowhere
        return False
    except OSError as error:
        if split_suffix(path.name)[1] or path.name.startswith("."):
            return False
        what = f"cannot be accessed: {error.strerror or error}"
        trouble.append(InputError(what, str(path), remedy=_REMEDY))
        return None
