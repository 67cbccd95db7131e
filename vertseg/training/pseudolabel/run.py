"""Masks for scans that have only points: the current network segments around each point.

What keeps to the rules of `vertseg.training.pseudolabel.sanity` is written, and a picture of
every case, to check before anything is trained on it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from tqdm import tqdm

from vertseg.errors import InputError, NoInputError
from vertseg.geometry.centroid import Centroid
from vertseg.geometry.grid import Grid
from vertseg.io.centroids import write_centroids
from vertseg.io.image import Image
from vertseg.io.mask import write_mask
from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL
from vertseg.stages.network import StageNetwork
from vertseg.stages.preprocess import resample_to
from vertseg.stages.segmentation import (
    Response,
    crop_grid,
    crop_input,
    keep_main_part,
    merge_responses,
)
from vertseg.system.atomic import write_json
from vertseg.training.data.checks import check_case
from vertseg.training.data.dataset import DataCase, find_data_cases, read_case
from vertseg.training.pseudolabel.pictures import draw_check, write_check
from vertseg.training.pseudolabel.sanity import Limits, Verdict, judge, overlaps

log = logging.getLogger(__name__)

REPORT = "pseudolabels.json"

_VIEWS = (
    ((0.0, 0.0, 0.0), 1.0, False),
    ((2.4, -2.4, 2.4), 1.06, True),
    ((-2.4, 2.4, -2.4), 0.94, False),
    ((2.4, 2.4, -2.4), 1.0, True),
)
"""Shift in mm, zoom, and whether the sides are swapped."""

_THRESHOLD = 0.4
"""Of the mean response: lower than 0.5, since views that disagree lower it at thin processes."""


@dataclass(frozen=True, eq=False)
class PseudoLabels:
    """Masks around given points.

    Attributes:
        labels: uint8 (i, j, k) on the scan's grid, all vertebrae.
        verdicts: what the rules say of each, from the head downwards.
    """

    labels: npt.NDArray[np.uint8]
    verdicts: tuple[Verdict, ...]

    def kept(self) -> npt.NDArray[np.uint8]:
        """The label map (i, j, k) with the vertebrae that pass."""
        table = np.zeros(256, np.uint8)
        for verdict in self.verdicts:
            if verdict.kept:
                table[verdict.label] = verdict.label
        return table[self.labels]


def label_around(
    image: Image,
    points_lps_mm: dict[int, np.ndarray],
    network: StageNetwork,
    limits: Limits | None = None,
) -> PseudoLabels:
    """Segment a scan around given points and judge every vertebra.

    Args:
        image: the scan.
        points_lps_mm: label -> (3,) centroid.
        network: of the segmentation stage.
        limits: of the rules.
    """
    order = sorted(points_lps_mm, key=ORDER_CRANIAL_TO_CAUDAL.index)
    given = [Centroid.at(label, points_lps_mm[label]) for label in order]
    responses = list(averaged_responses(image, given, network))
    threshold = _THRESHOLD
    shared = overlaps(responses, threshold)
    labels = merge_responses(image.grid, responses, threshold)
    verdicts = (
        judge(image, labels, label, points_lps_mm[label], shared[label], limits) for label in order
    )
    return PseudoLabels(labels, tuple(verdicts))


def averaged_responses(
    image: Image, vertebrae: Sequence[Centroid], network: StageNetwork
) -> Iterator[Response]:
    """Label, mean response over some shifted, scaled and mirrored views without islands or holes,
    and its grid, of each vertebra in turn.

    Args:
        image: the scan.
        vertebrae: their labels and centroids.
        network: of the segmentation stage.
    """
    for vertebra in vertebrae:
        grid, point = crop_grid(vertebra, network.config), vertebra.point_lps_mm
        mean = np.zeros(grid.size, np.float32)
        for shift_mm, zoom, mirrored in _VIEWS:
            centre = np.asarray(grid.centre_lps_mm) + shift_mm
            view = Grid.axis_aligned(centre, grid.size, grid.spacing[0] * zoom)
            inputs = crop_input(image, view, point, network.config)
            step = -1 if mirrored else 1
            response = network(inputs[None, ::step])[0, ::step, :, :, 0]
            mean += resample_to(np.ascontiguousarray(response), view, grid) / len(_VIEWS)
        mean = keep_main_part(mean, grid, point, _THRESHOLD)
        holes = ndimage.binary_fill_holes(mean > _THRESHOLD) & (mean <= _THRESHOLD)
        yield vertebra.label, np.where(holes, np.float32(1), mean), grid


def pseudolabel(
    folders: Sequence[Path],
    to: Path,
    network: StageNetwork,
    only: str | None = None,
    limits: Limits | None = None,
) -> dict[str, Any]:
    """Masks of all scans with points and without a mask.

    Writes mask and centroids of what is kept to ``derivatives/sub-X/`` of `to`, named as in BIDS, a
    picture of every case to ``pictures/`` and `REPORT`.

    Args:
        folders: data sets.
        to: where to.
        network: of the segmentation stage.
        only: shell pattern of case names.
        limits: of the rules.

    Returns:
        The report: ``cases``, each with its vertebrae, and ``refused``.

    Raises:
        NoInputError: there is no such scan.
    """
    cases = [case for case in find_data_cases(folders, only) if _lacks_mask(case)]
    if not cases:
        remedy = "Give scans with a centroid file and without a mask."
        raise NoInputError("holds no such scan", ", ".join(map(str, folders)), remedy=remedy)
    report: dict[str, Any] = {"cases": [], "refused": []}
    for case in tqdm(cases, unit="scan", disable=None):
        try:
            data = read_case(case)
            problems = check_case(data).problems
        except InputError as error:
            problems = (str(error),)
        if problems or data.image is None or data.points_lps_mm is None:
            log.warning("%s: left out: %s", case.name, "; ".join(problems))
            report["refused"].append({"name": case.name, "problems": list(problems)})
            continue
        found = label_around(data.image, data.points_lps_mm, network, limits)
        _write(to, case.name, data.image, data.points_lps_mm, found)
        rows = [_record(verdict) for verdict in found.verdicts]
        report["cases"].append({"name": case.name, "vertebrae": rows})
        log.info("%s: %s", case.name, _in_words(found.verdicts))
    write_json(to / REPORT, report)
    return report


def _lacks_mask(case: DataCase) -> bool:
    files = case.files
    return files.mask is None and files.scan is not None and files.centroids is not None


def _write(
    to: Path, name: str, image: Image, points: dict[int, np.ndarray], found: PseudoLabels
) -> None:
    write_check(
        to / "pictures" / f"{name}.png",
        draw_check(name, image, found.labels, points, found.verdicts),
    )
    kept = [verdict.label for verdict in found.verdicts if verdict.kept]
    if not kept:
        return
    folder = to / "derivatives" / f"sub-{name.split('_')[0]}"
    write_mask(folder / f"sub-{name}_seg-vert_msk.nii.gz", found.kept(), image)
    centroids = [Centroid.at(label, points[label]) for label in kept]
    write_centroids(folder / f"sub-{name}_seg-subreg_ctd.json", centroids, image)


def _record(verdict: Verdict) -> dict[str, Any]:
    mean = None if np.isnan(verdict.mean_hu) else round(verdict.mean_hu, 1)
    rounded = {"volume_ml": round(verdict.volume_ml, 2), "mean_hu": mean}
    rounded["overlap"] = round(verdict.overlap, 3)
    return {"name": verdict.name, "kept": verdict.kept} | asdict(verdict) | rounded


def _in_words(verdicts: Sequence[Verdict]) -> str:
    """Such as ``"4 of 5 kept; L5: in pieces"``."""
    kept = sum(verdict.kept for verdict in verdicts)
    lost = [f"{v.name}: {', '.join(v.reasons)}" for v in verdicts if not v.kept]
    return "; ".join([f"{kept} of {len(verdicts)} kept", *lost])
