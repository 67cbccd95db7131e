"""What exported weights were made from: licences, sources, and the scans they have never seen.

Each leg of a run says from which data it learned; legs before version 0.2.0, and those of the
bundled weights, do not, and learned from the sources of this project.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vertseg.stages import Stage
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

UNSTATED = "not stated; see the sources"
"""Licence of weights that a user has trained on data of his own."""

Leg = Mapping[str, Any]


def provenance(runs: Path, about: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Entries of the manifest: licence, sources, and which scans each stage has never seen.

    Args:
        runs: folder of the training runs, whose legs tell it.
        about: what takes the place of such entries.
    """
    legs = {stage: _legs(runs, stage) for stage in Stage}
    every = [_origin(leg, stage) for stage, own in legs.items() for leg in own]
    sources = {json.dumps(s, sort_keys=True): s for _, listed in every for s in listed}
    licences = dict.fromkeys(licence for licence, _ in every)
    held_out = {str(stage): _never_seen(own, stage) for stage, own in legs.items()}
    told = {
        "licence": "; ".join(licences) or LICENCE,
        "sources": [*sources.values()] or [*SOURCES],
        "held_out": held_out,
    }
    return told | dict(about or {})


def _legs(runs: Path, stage: Stage) -> list[Leg]:
    paths = sorted(runs.glob(f"{stage}.[0-9]*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def _is_recorded(leg: Leg) -> bool:
    return leg["config"].get("held_out") is not None


def _origin(leg: Leg, stage: Stage) -> tuple[str, Sequence[Any]]:
    """Licence and sources of a leg."""
    if "sources" in leg:  # of the weights that the run started from
        return leg.get("licence", UNSTATED), leg["sources"]
    if not _is_recorded(leg):
        return LICENCE, SOURCES
    config = leg["config"]
    names = [Path(config[key]).name for key in ("data", "pool") if config.get(key)]
    return UNSTATED, [{"name": name, "use": f"{stage} stage"} for name in names]


def _never_seen(legs: Sequence[Leg], stage: Stage) -> list[str]:
    """Scans that every leg of `stage` held out; a leg that does not say held out the usual ones."""
    usual = HELD_OUT_MASKS if stage == Stage.SEGMENTATION else HELD_OUT
    kept: set[str] | None = None
    for leg in legs:
        said = leg["config"].get("hold_out")
        if _is_recorded(leg):
            held_out = {*(said or ()), *leg["config"]["held_out"]}
        else:
            held_out = set(usual if said is None else said)
        kept = held_out if kept is None else kept & held_out
    if kept is None:
        return list(usual)
    return [name for name in usual if name in kept] + sorted(kept - set(usual))
