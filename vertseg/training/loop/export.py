"""From a run's weights to a folder that the software loads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from models import preset_from_dict, preset_to_dict
from models.published import peak_height
from vertseg.errors import ConfigurationError
from vertseg.stages import Stage
from vertseg.stages.weights import FORMAT, MANIFEST
from vertseg.system.atomic import write_json
from vertseg.system.fingerprint import sha256_of
from vertseg.training.loop.checkpoint import SIGMAS


def export(
    runs: Path, folder: Path, details: dict[str, Any], known: Mapping[str, Any] | None = None
) -> Path:
    """Writes float16 weights of all stages and ``manifest.json`` to `folder`.

    Args:
        runs: folder of the training runs.
        folder: where the weights go.
        details: further entries of the manifest (data, licences, scores).
        known: stage -> entry of an earlier manifest, whose other values are kept.

    Every stage's configuration is the one that it was last trained with.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, Any] = {}
    preset: dict[str, Any] = {}
    for stage in Stage:
        legs = [json.loads(p.read_text()) for p in sorted(runs.glob(f"{stage}.[0-9]*.json"))]
        preset |= {"name": legs[-1]["preset"]["name"], stage: legs[-1]["preset"][stage]}
        learned = _learned_sigmas(runs, stage, preset)
        target = folder / f"{stage}.weights.h5"
        _to_float16(runs / f"{stage}.weights.h5", target)
        shutil.copyfile(runs / f"{stage}.csv", folder / f"{stage}.curve.csv")
        curve = (runs / f"{stage}.csv").read_text(encoding="utf-8").splitlines()
        files[stage] = (
            {**(known or {}).get(stage, {})}
            | {
                "file": target.name,
                "sha256": sha256_of(target),
                "iterations": int(curve[-1].split(",")[0]),
                "legs": [_shown(leg["config"]) | {"from_step": leg["from_step"]} for leg in legs],
            }
            | learned
        )
    preset = preset_to_dict(preset_from_dict(preset))
    write_json(folder / MANIFEST, {"format": FORMAT, "preset": preset, "files": files} | details)
    return folder


def _shown(config: dict[str, Any]) -> dict[str, Any]:
    """What a manifest records of a leg: the names of folders, not their place on the machine."""
    folders = {key: Path(config[key]).name for key in ("data", "pool") if config.get(key)}
    return config | folders


def _learned_sigmas(runs: Path, stage: Stage, preset: dict[str, Any]) -> dict[str, Any]:
    """Entry of the manifest with the sigmas that a stage has learned, if it learns any.

    The heights of its maps that follow from them are entered into `preset`, which prediction reads.

    Raises:
        ConfigurationError: the run has not kept them.
    """
    config = preset[stage]
    mass = (config.get("published") or {}).get("target_mass", 0.0)
    path = runs / f"{stage}.{SIGMAS}"
    if not mass or (not path.is_file() and config.get("peaks")):
        return {}  # or the peaks are those of the weights that the stage comes from
    try:
        sigmas = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"the learned sigmas of the {stage} stage are missing: {error}",
            str(path),
            "the file that training writes beside its weights",
            "Train the stage for one more step.",
        ) from error
    preset[stage] = config | {"peaks": [peak_height(mass, sigma) for sigma in sigmas]}
    return {"sigmas_px": sigmas}


def _to_float16(source: Path, target: Path) -> None:
    """Copies a Keras weights file with its arrays in half precision."""
    with h5py.File(source, "r") as old, h5py.File(target, "w") as new:

        def copy(name: str, item: h5py.Dataset | h5py.Group) -> None:
            if isinstance(item, h5py.Group):
                group = new.require_group(name)
            else:
                values = np.asarray(item)
                half = values.astype(np.float16) if values.dtype == np.float32 else values
                group = new.create_dataset(name, data=half, compression="gzip", shuffle=True)
            for key, value in item.attrs.items():
                group.attrs[key] = value

        for key, value in old.attrs.items():
            new.attrs[key] = value
        old.visititems(copy)
