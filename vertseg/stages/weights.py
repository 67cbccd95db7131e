"""Trained weights: a folder with ``manifest.json`` and one file per stage, checked before use."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import numpy.typing as npt

from vertseg.errors import ConfigurationError
from vertseg.stages import Stage
from vertseg.system.fingerprint import sha256_of

if TYPE_CHECKING:
    from models import Preset

MANIFEST = "manifest.json"
FORMAT = 1
_REMEDY = "Restore the folder from the release, or give another one with --weights."


@dataclass(frozen=True)
class Weights:
    """Verified weights.

    Attributes:
        folder: where they lie.
        manifest: ``manifest.json`` as read.
        preset: the preset that the networks were trained with.
        files: stage -> weights file.
    """

    folder: Path
    manifest: dict[str, Any]
    preset: Preset
    files: dict[str, Path]


def default_folder() -> Path:
    """The weights that come with the software."""
    return Path(__file__).resolve().parents[2] / "weights"


def load_weights(folder: Path | None = None) -> Weights:
    """Reads the manifest of `folder` (bundled weights if None) and verifies every file's SHA-256.

    Raises:
        ConfigurationError: a file is missing or changed, or the manifest or its preset is not
            one that this version understands.
    """
    folder = Path(folder) if folder is not None else default_folder()
    manifest = _read_manifest(folder)
    preset = _preset(manifest, folder)
    files = {stage.value: _verified(folder, stage, manifest["files"]) for stage in Stage}
    return Weights(folder, manifest, preset, files)


def read_variables(path: Path) -> dict[str, list[npt.NDArray[np.float32]]]:
    """The variables of each layer that has any, by its name, in shapes and order of Keras.

    Raises:
        OSError: the file is not an HDF5 file.
        KeyError: it is, but holds no weights of Keras.
    """
    found = {}
    with h5py.File(path) as file:
        for layer in file["layers"].values():
            stored = layer["vars"]
            if len(stored):
                values = [stored[str(place)][()] for place in range(len(stored))]
                found[str(stored.attrs["name"])] = values
    return found


def misfit(weights: Weights, stage: str, error: Exception) -> ConfigurationError:
    """What to raise when a weights file is not that of the stage's network."""
    return ConfigurationError(
        f"weights cannot be used: the file of the {stage} stage does not fit its network",
        where=f"{weights.files[stage]}: {error}",
        expected=f"weights of the preset {weights.preset.name}",
        remedy="Use the preset and the weights of the same training.",
    )


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            "weights cannot be used: the manifest is missing or unreadable",
            where=f"{path}: {error}",
            expected=f"a folder with {MANIFEST} and three weights files",
            remedy=_REMEDY,
        ) from error
    known = isinstance(manifest, dict) and manifest.get("format") == FORMAT
    if not known or not isinstance(manifest.get("files"), dict):
        raise ConfigurationError(
            "weights cannot be used: the manifest is of another format",
            where=str(path),
            expected=f"format {FORMAT} with the entries preset and files",
            remedy=_REMEDY,
        )
    return manifest


def _preset(manifest: dict[str, Any], folder: Path) -> Preset:
    from models import preset_from_dict

    try:
        return preset_from_dict(manifest["preset"])
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(
            "weights cannot be used: their preset is not understood",
            where=f"{folder / MANIFEST}: {error}",
            expected="the fields of models.Preset",
            remedy="Use the software version that the weights were made with.",
        ) from error


def _verified(folder: Path, stage: str, files: dict[str, Any]) -> Path:
    entry = files.get(stage)
    if not isinstance(entry, dict) or not {"file", "sha256"} <= set(entry):
        raise ConfigurationError(
            f"weights cannot be used: the manifest names no file for the {stage} stage",
            where=str(folder / MANIFEST),
            expected="file and sha256",
            remedy=_REMEDY,
        )
    name = str(entry["file"])
    if Path(name).name != name:  # "../" and absolute paths lead elsewhere
        raise ConfigurationError(
            f"weights cannot be used: the file of the {stage} stage lies elsewhere",
            where=f"{folder / MANIFEST}: {name}",
            expected="the name of a file in the same folder",
            remedy=_REMEDY,
        )
    path = folder / name
    if not path.is_file():
        raise ConfigurationError(
            f"weights cannot be used: the file of the {stage} stage is missing",
            where=str(path),
            expected=f"a file with SHA-256 {entry['sha256']}",
            remedy=_REMEDY,
        )
    found = sha256_of(path)
    if found != entry["sha256"]:
        raise ConfigurationError(
            f"weights cannot be used: the file of the {stage} stage has changed",
            where=f"{path} has SHA-256 {found}",
            expected=str(entry["sha256"]),
            remedy=_REMEDY,
        )
    return path
