"""What the bundled weights were made from; goes into the manifest of every export."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vertseg.training.real import HELD_OUT, HELD_OUT_MASKS

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
