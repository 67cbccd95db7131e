"""Each stage fed with the truth, on one case (Payer et al., VISAPP 2020, table 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from vertseg.errors import InputError
from vertseg.evaluate.cases import Annotation
from vertseg.evaluate.scores import VertebraScore, score_case
from vertseg.geometry.centroid import Centroid
from vertseg.geometry.grid import Grid
from vertseg.stages import Stage
from vertseg.stages.at_once import ONE_BY_ONE, AtOnce
from vertseg.stages.device import DeviceInfo
from vertseg.stages.network import StageNetwork
from vertseg.stages.segmentation import segment_vertebrae
from vertseg.stages.spine import SpineRegion, find_spine
from vertseg.stages.vertebrae import find_vertebrae
from vertseg.stages.weights import load_weights
from vertseg.training.data.dataset import CaseData

NAN = float("nan")
_PADDING_MM = 60.0
_GRID_MM = 0.1

Points = Mapping[int, np.ndarray]


@dataclass(frozen=True)
class Networks:
    """The three trained networks, as `vertseg.stages.network.StageNetwork` or the like."""

    spine: StageNetwork
    vertebrae: StageNetwork
    segmentation: StageNetwork

    @classmethod
    def load(cls, folder: Path | None, device: DeviceInfo) -> Networks:
        """The networks of a weights folder; the bundled ones if None.

        Raises:
            ConfigurationError: the weights cannot be used.
        """
        weights = load_weights(folder)
        spine, vertebrae, segmentation = (StageNetwork(weights, stage, device) for stage in Stage)
        return cls(spine, vertebrae, segmentation)


@dataclass(frozen=True)
class SpineScore:
    """How well the spine stage centres on the spine of one scan.

    Attributes:
        case: name of the scan.
        distance_mm: in x and y, from the centre of mass of the predicted heatmap to that of the
            Gaussians of the annotated vertebrae; NaN where no spine was found.
    """

    case: str
    distance_mm: float


@dataclass(frozen=True)
class CaseScores:
    """Scores of one scan.

    Attributes:
        spine: of the spine stage.
        vertebrae: of the vertebrae stage (distance, identification) given the true spine, and of
            the segmentation stage (Dice, Hausdorff) given the true centroids.
    """

    spine: SpineScore
    vertebrae: tuple[VertebraScore, ...]


def score_stages(data: CaseData, networks: Networks, at_once: AtOnce = ONE_BY_ONE) -> CaseScores:
    """Scores of all three stages, each fed with the truth.

    Args:
        data: a scan with points; without a mask there is neither Dice nor Hausdorff.
        networks: the trained networks.
        at_once: crops of the segmentation stage in a batch, and threads that take batches.

    Raises:
        InputError: the case has no scan or no points, or the mask does not lie on the scan's grid.
    """
    image, points = data.image, data.points_lps_mm
    if image is None or not points:
        raise InputError("is not a scan with points", data.name)
    if data.mask_grid is not None and not image.grid.is_close(data.mask_grid, _GRID_MM):
        raise InputError("the mask does not lie on the scan's grid", data.name)
    truth = true_spine(points, image.grid, networks.spine)
    found = find_spine(image, networks.spine)
    distance = NAN if found is None else float(np.hypot(*(_centre(found) - _centre(truth))))
    chain = find_vertebrae(image, truth, networks.vertebrae)
    predicted = Annotation({v.label: np.array(v.point_lps_mm) for v in chain.vertebrae})
    reference = Annotation(dict(points))
    if data.mask is not None and data.mask_grid is not None:
        given = [Centroid.at(label, point) for label, point in points.items()]
        labels = segment_vertebrae(image, given, networks.segmentation, at_once)
        fed = np.where(np.isin(data.mask, [*points]), data.mask, 0).astype(np.uint8)
        reference = replace(reference, mask=fed, grid=data.mask_grid)
        predicted = replace(predicted, mask=labels, grid=image.grid)
    scores = score_case(data.name, reference, predicted)
    return CaseScores(SpineScore(data.name, distance), tuple(scores))


def true_spine(points: Points, scan: Grid, network: StageNetwork) -> SpineRegion:
    """The target of the spine stage: Gaussians at all vertebrae, merged by maximum.

    Args:
        points: label -> (3,) LPS mm.
        scan: grid of the scan; the region reaches a little beyond it.
        network: the spine stage's, for spacing, Gaussian and threshold.
    """
    config = network.config
    low, high = scan.bounds_lps_mm()
    size = np.ceil((high - low + 2 * _PADDING_MM) / config.spacing_mm).astype(int)
    grid = Grid.axis_aligned(0.5 * (low + high), [int(n) for n in size], config.spacing_mm)
    heatmap = np.zeros(grid.size, np.float32)
    for point in points.values():
        index = np.asarray(grid.lps_to_index(point))
        along = [
            np.exp(-0.5 * ((np.arange(n) - i) / config.sigma_px) ** 2)
            for n, i in zip(grid.size, index, strict=True)
        ]
        np.maximum(heatmap, np.einsum("i,j,k->ijk", *along).astype(np.float32), out=heatmap)
    heatmap[heatmap < config.threshold] = 0.0
    return SpineRegion(heatmap, grid)


def _centre(region: SpineRegion) -> np.ndarray:
    """x and y in mm of the centre of mass."""
    centre = ndimage.center_of_mass(region.heatmap)
    return np.asarray(region.grid.index_to_lps(centre))[:2]
