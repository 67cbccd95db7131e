"""What the bundled weights were made from; goes into the manifest of every export.

From a run's averaged weights to a folder that the software loads.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from models import preset_from_dict, preset_to_dict
from vertseg.stages import Stage
from vertseg.stages.weights import FORMAT, MANIFEST, file_sha256
from vertseg.system.atomic import write_json
from vertseg.training.data.real import HELD_OUT, HELD_OUT_MASKS

LICENCE = "CC BY-SA 4.0"

SOURCES: tuple[dict[str, str], ...] = (
    {
        "name": "Z-Anatomy / Open3DModel / BodyParts3D atlas, voxelised",
        "licence": "CC BY-SA 4.0",
        "credit": "(c) The Database Center for Life Science",
        "use": "posed and painted bodies, all stages",
    },
    {
        "name": "ImFusion vertebra identification dataset, centroids",
        "licence": "CC BY-SA 4.0",
        "credit": "ImFusion; CT Colonography, VerSe, Pancreas-CT",
        "use": "spine courses that pose the atlas",
    },
    {
        "name": "VerSe'19 and VerSe'20 centroids and five vertebra masks",
        "licence": "CC BY-SA 4.0",
        "credit": "Sekuboyina et al. 2021, Loeffler et al. 2020, Liebl et al. 2021",
        "use": "spine courses; vertebra shapes, segmentation stage",
    },
    {
        "name": "OnkoDICOM test data (thorax4mm)",
        "licence": "LGPL-2.1 repository",
        "credit": "didymo/OnkoDICOM",
        "use": "scan with points, spine and vertebrae stages",
    },
    {
        "name": "OpenGATE GateContrib (trunk4mm)",
        "licence": "GPL-2 repository",
        "credit": "OpenGATE collaboration",
        "use": "scan with points, spine and vertebrae stages",
    },
    {
        "name": "TCIA ACRIN-FLT-Breast 001 (acrinhead, acrinabdomen)",
        "licence": "CC BY 3.0",
        "credit": "The Cancer Imaging Archive",
        "use": "scans with points, spine and vertebrae stages; own masks, segmentation stage",
    },
    {
        "name": "ITKElastix example (thorax2mm)",
        "licence": "Apache-2.0",
        "credit": "Insight Software Consortium",
        "use": "scan with points, spine and vertebrae stages; own masks, segmentation stage",
    },
    {
        "name": "TCIA CMB-CRC MSB-01068 (cmbcrc)",
        "licence": "CC BY 4.0",
        "credit": "The Cancer Imaging Archive",
        "use": "scan with points, spine and vertebrae stages; own masks, segmentation stage",
    },
    {
        "name": "TCIA Lung-Fused-CT-Pathology (lfcp)",
        "licence": "CC BY 3.0",
        "credit": "The Cancer Imaging Archive",
        "use": "scan with points, spine and vertebrae stages; own masks, segmentation stage",
    },
    {
        "name": "taichi2018Jan_ctscan (taichi)",
        "licence": "CC0",
        "credit": "mapconcierge",
        "use": "scan with points, vertebrae stage; own masks, segmentation stage",
    },
    {
        "name": "FNNDSC data (thorax1mm)",
        "licence": "Apache-2.0",
        "credit": "Fetal-Neonatal Neuroimaging and Developmental Science Center",
        "use": "scan with points, vertebrae stage; own masks, segmentation stage",
    },
    {
        "name": "TotalSegmentator example (totalseg)",
        "licence": "CC BY 4.0",
        "credit": "Wasserthal et al. 2023",
        "use": "scan with points, vertebrae stage",
    },
)
"""Own masks are those of `pseudolabel`, made by an earlier state of the segmentation stage."""


def provenance(runs: Path) -> dict[str, Any]:
    """Entries of the manifest: licence, sources, and which scans each stage has never seen.

    Args:
        runs: folder of the training runs, whose legs tell what was held out.
    """
    held_out = {
        "spine": _never_seen(runs, "spine", HELD_OUT),
        "vertebrae": _never_seen(runs, "vertebrae", HELD_OUT),
        "segmentation": _never_seen(runs, "segmentation", HELD_OUT_MASKS),
    }
    return {"licence": LICENCE, "sources": list(SOURCES), "held_out": held_out}


def _never_seen(runs: Path, stage: str, usual: Sequence[str]) -> list[str]:
    """Scans that every leg of `stage` held out; a leg that does not say held out `usual`."""
    kept: set[str] | None = None
    for path in runs.glob(f"{stage}.[0-9]*.json"):
        said = json.loads(path.read_text(encoding="utf-8"))["config"].get("hold_out")
        held_out = set(usual if said is None else said)
        kept = held_out if kept is None else kept & held_out
    if kept is None:
        return list(usual)
    return [name for name in usual if name in kept] + sorted(kept - set(usual))


def export(
    runs: Path, folder: Path, details: dict[str, Any], known: Mapping[str, Any] | None = None
) -> Path:
    """Writes float16 weights of all stages and ``manifest.json`` to `folder`.

    Args:
        runs: folder of the training runs.
        folder: where the weights go.
        details: further entries of the manifest (data, licences, scores).
        known: stage -> entry of an earlier manifest, of which all that is not told anew is kept.

    Every stage's configuration is the one that it was last trained with.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, Any] = {}
    preset: dict[str, Any] = {}
    for stage in Stage:
        legs = [json.loads(p.read_text()) for p in sorted(runs.glob(f"{stage}.[0-9]*.json"))]
        preset |= {"name": legs[-1]["preset"]["name"], stage: legs[-1]["preset"][stage]}
        target = folder / f"{stage}.weights.h5"
        _to_float16(runs / f"{stage}.weights.h5", target)
        shutil.copyfile(runs / f"{stage}.csv", folder / f"{stage}.curve.csv")
        curve = (runs / f"{stage}.csv").read_text().splitlines()
        files[stage] = {**(known or {}).get(stage, {})} | {
            "file": target.name,
            "sha256": file_sha256(target),
            "iterations": int(curve[-1].split(",")[0]),
            "legs": [leg["config"] | {"from_step": leg["from_step"]} for leg in legs],
        }
    preset = preset_to_dict(preset_from_dict(preset))
    write_json(folder / MANIFEST, {"format": FORMAT, "preset": preset, "files": files} | details)
    return folder


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
