"""Each stage fed with the truth, on one case (Payer et al., VISAPP 2020, table 1)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vertseg.errors import InputError
from vertseg.evaluate.cases import Annotation
from vertseg.evaluate.scores import VertebraScore, score_case
from vertseg.geometry.centroid import Centroid
from vertseg.geometry.grid import Grid
from vertseg.io.image import Image
from vertseg.stages import Stage
from vertseg.stages.at_once import ONE_BY_ONE, AtOnce
from vertseg.stages.device import DeviceInfo
from vertseg.stages.network import StageNetwork
from vertseg.stages.published import find_spine_xy, find_vertebrae_at, segment_as_published
from vertseg.stages.segmentation import segment_vertebrae
from vertseg.stages.spine import SpineRegion, find_spine
from vertseg.stages.vertebrae import find_vertebrae
from vertseg.stages.weights import load_weights
from vertseg.training.data.dataset import CaseData

NAN = float("nan")
_COLUMN_MM = 8.0
_GRID_MM = 0.1


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
        distance_mm: in x and y, from the centre of mass of the predicted heatmap to the mean of
            the annotated vertebrae; NaN where no spine was found.
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


def score_stages(
    data: CaseData, networks: Networks, at_once: AtOnce = ONE_BY_ONE, published: bool = False
) -> CaseScores:
    """Scores of all three stages, each fed with the truth.

    The vertebrae stage is given the x and y of the spine, as in the paper, and looks at the whole
    length of the scan.

    Args:
        data: a scan with points; without a mask there is neither Dice nor Hausdorff.
        networks: the trained networks.
        at_once: crops of the segmentation stage in a batch, and threads that take batches.
        published: whether the stages work as `vertseg.stages.published` says.

    Raises:
        InputError: the case has no scan or no points, or the mask does not lie on the scan's grid.
    """
    image, points = data.image, data.points_lps_mm
    if image is None or not points:
        raise InputError("is not a scan with points", data.name)
    if data.mask_grid is not None and not image.grid.is_close(data.mask_grid, _GRID_MM):
        raise InputError("the mask does not lie on the scan's grid", data.name)
    x, y = np.mean([*points.values()], axis=0)[:2].tolist()
    found = _find_spine_xy(image, networks.spine, published)
    distance = NAN if found is None else math.dist(found, (x, y))
    if published:
        chain = find_vertebrae_at(image, (x, y), networks.vertebrae)
    else:
        chain = find_vertebrae(image, column_at(x, y, image.grid), networks.vertebrae)
    predicted = Annotation({v.label: np.array(v.point_lps_mm) for v in chain.vertebrae})
    reference = Annotation(dict(points))
    if data.mask is not None and data.mask_grid is not None:
        given = [Centroid.at(label, point) for label, point in points.items()]
        if published:
            labels = segment_as_published(image, given, networks.segmentation)
        else:
            labels = segment_vertebrae(image, given, networks.segmentation, at_once)
        fed = np.where(np.isin(data.mask, [*points]), data.mask, 0).astype(np.uint8)
        reference = replace(reference, mask=fed, grid=data.mask_grid)
        predicted = replace(predicted, mask=labels, grid=image.grid)
    scores = score_case(data.name, reference, predicted)
    return CaseScores(SpineScore(data.name, distance), tuple(scores))


def _find_spine_xy(
    image: Image, network: StageNetwork, published: bool
) -> tuple[float, float] | None:
    """x and y of the centre of mass of what the spine stage finds."""
    if published:
        return find_spine_xy(image, network)
    region = find_spine(image, network)
    return None if region is None else region.centre_between(-math.inf, math.inf)


def column_at(x: float, y: float, scan: Grid) -> SpineRegion:
    """A spine region that only knows x and y (LPS mm): a column through the whole scan."""
    corners = scan.corners_lps_mm(0.5)[:, 2]
    low, high = float(corners.min()), float(corners.max())
    length = max(round((high - low) / _COLUMN_MM), 1)
    spacing = (_COLUMN_MM, _COLUMN_MM, (high - low) / length)
    grid = Grid.axis_aligned((x, y, 0.5 * (low + high)), (1, 1, length), spacing)
    return SpineRegion(np.ones(grid.size, np.float32), grid)
