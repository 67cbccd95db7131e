"""The bundled networks with windows that just hold a few vertebrae: a fraction of the work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vertseg.stages.weights import MANIFEST, default_folder

WINDOWS: dict[str, dict[str, Any]] = {
    "spine": {"size": (16, 16, 32)},
    "vertebrae": {"size": (24, 24, 40), "overlap": 16},
    "segmentation": {"size": (48, 64, 48)},
}
"""Voxels along x, y, z that each stage sees at once; those that neighbours share."""


def small_windows(folder: Path) -> Path:
    """A folder of weights whose networks are the bundled ones, and whose windows are small."""
    manifest = json.loads((default_folder() / MANIFEST).read_text(encoding="utf-8"))
    for stage, changes in WINDOWS.items():
        manifest["preset"][stage] |= changes
        name = manifest["files"][stage]["file"]
        (folder / name).symlink_to(default_folder() / name)
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return folder
