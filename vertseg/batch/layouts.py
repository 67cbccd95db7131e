"""The folders of grand-challenge.org: ``images/<slug>/<name>.mha`` in, the same and JSON out.

The platform gives a container one image for each socket, in a folder named by the socket's slug,
and a list of the sockets, ``inputs.json``. It wants images back as ``images/<slug>/<name>.mha``,
the only file of that folder, and values as ``<slug>.json``.

The description that BIDS requires of a folder of derivatives.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vertseg.io.case import Case
from vertseg.system.atomic import write_json
from vertseg.version import VERSION

_LOGGER = logging.getLogger(__name__)

_IMAGES = "images"
_LIST = "inputs.json"


def recognise_layout(cases: Sequence[Case], root: Path) -> list[Case]:
    """The cases with the platform's output names, where the input folder has its layout.

    It has if every scan is ``images/<slug>/<name>.mha``, one for each slug. Where ``inputs.json``
    lists sockets of images, only those are taken.

    Args:
        cases: all of the input folder.
        root: the input folder.
    """
    if not cases or not all(_fits(case) for case in cases):
        return list(cases)
    listed = _listed_folders(root / _LIST)
    chosen = [case for case in cases if not listed or case.folder.as_posix() in listed]
    slugs = [case.folder.name for case in chosen]
    if not chosen or len(set(slugs)) < len(slugs):
        return list(cases)
    _LOGGER.info("The input has the folder layout of grand-challenge.org; so will the output.")
    return [replace(c, slug=slug, bids=False) for c, slug in zip(chosen, slugs, strict=True)]


def _fits(case: Case) -> bool:
    folders = case.folder.parts
    is_mha = case.path.suffix.lower() == ".mha" and not case.slices
    return is_mha and len(folders) == 2 and folders[0] == _IMAGES


def _listed_folders(path: Path) -> set[str]:
    """Folders of the image sockets that the platform's list names; empty without such a list."""
    if not path.is_file():  # a pipe would never end
        return set()
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return set()
    sockets = [_socket(entry) for entry in entries] if isinstance(entries, list) else []
    paths = {str(socket.get("relative_path", "")).strip("/") for socket in sockets}
    return {path for path in paths if path.startswith(f"{_IMAGES}/")}


def _socket(entry: Any) -> dict[str, Any]:
    """The socket of an entry, which was called an interface until 2025."""
    if not isinstance(entry, dict):
        return {}
    socket = entry.get("socket") or entry.get("interface")
    return socket if isinstance(socket, dict) else {}


DESCRIPTION = "dataset_description.json"

_BIDS_VERSION = "1.9.0"


def describe_dataset(output: Path) -> None:
    """Write the description of the output folder, unless there is one; raises OutputError."""
    path = output / DESCRIPTION
    if path.exists():
        return
    description = {
        "Name": "Vertebrae found, named and segmented",
        "BIDSVersion": _BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "vertseg", "Version": VERSION}],
    }
    write_json(path, description)
