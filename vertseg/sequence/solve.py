"""Choosing the vertebrae of an image among all places that the heatmaps propose.

A vertebra is a place with a label; the vertebrae of an image form a chain whose labels follow each
other from the head downwards. The best chain is found exactly, by dynamic programming over all
(place, label) pairs and over sizes and tilts of the body. Its evidence is summed over the whole
chain, so single wrong labels, and runs that are shifted by a level, are put right by the rest.
Partial spines are normal: a chain may begin and end anywhere, and a place that would cost more than
it adds is left out. Nothing is invented: undetected vertebrae are reported as gaps, not filled in.

The constraints are those of Payer et al., VISAPP 2020, section 3.2 (neighbours 12.5-50 mm apart,
never upwards); successors besides the regular ones: C6-T1, T11-L1, T12-T13-L1, L5-L6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from vertseg.geometry.centroid import Centroid
from vertseg.sequence.anchors import sure_margin
from vertseg.sequence.best_path import BestPaths, Path, best_paths, best_score, score_bound
from vertseg.sequence.config import SequenceConfig
from vertseg.sequence.doubts import NO_DOUBTS, Doubts
from vertseg.sequence.evidence import LABELS, STATES, explained_share, place_mass, presence
from vertseg.sequence.graph import RARE, ChainGraph, Inside, build_chain_graph, without_variants
from vertseg.sequence.offsets import OffsetStatistics, load_statistics
from vertseg.sequence.words import UPSIDE_DOWN, difference, unusual_links


class Numbering(StrEnum):
    """What is done about numbering variants: T13, L6, T12 or C7 absent."""

    AUTO = "auto"
    """Chosen where they are clearly better, by `SequenceConfig.variant_margin`."""

    USUAL = "usual"
    """Never chosen: twelve thoracic and five lumbar vertebrae."""

    ANY = "any"
    """Chosen wherever they are better."""


@dataclass(frozen=True, kw_only=True)
class FoundVertebra(Centroid):
    """One vertebra of the chain.

    Its score is the height of its own channel's heatmap at this place (0 for labels without a
    channel), None where no network has run.

    Attributes:
        mass: how sure the heatmaps are that some vertebra is here, 0 to 1.
        margin: nats between the chain and the best one that labels this place otherwise; negative
            where that is a numbering variant which is better, but not clearly.
        place: row of the input arrays.
    """

    mass: float
    margin: float
    place: int


@dataclass(frozen=True)
class Rival:
    """The best chain that gives some place of the result another label.

    Attributes:
        labels: place -> label, for all places of the rival chain.
        description: what is different, in words.
        margin: nats between the chain and this one, see `FoundVertebra.margin`.
        is_variant: whether it has a numbering variant.
    """

    labels: dict[int, int]
    description: str
    margin: float = 0.0
    is_variant: bool = False


@dataclass(frozen=True)
class SequenceResult:
    """The vertebrae of an image.

    Attributes:
        vertebrae: from the head downwards; empty where there is no evidence of a spine.
        score: log odds of the chain against false alarms at all places.
        margin: nats between the chain and its rival, see `FoundVertebra.margin`; 0 for an empty
            result.
        rival: the best chain that labels some place otherwise.
        further_rivals: the best chains that label otherwise some place besides the first, the last
            or both; they count where the border of the scan cuts these.
        level_shift_possible: whether the margin is below `vertseg.sequence.anchors.sure_margin`, or
            the rival has a numbering variant and the margin is below `variant_margin`.
        upside_down_possible: whether the chain is hardly better than the best one upside down,
            see `SequenceConfig.direction_margin`.
        gaps: labels of vertebrae inside the chain that were not detected.
        scale: size of the body relative to the mean.
        warnings: sentences for a report.
        left_out: labels of vertebrae at the ends that the border of the scan cuts.
    """

    vertebrae: tuple[FoundVertebra, ...] = ()
    score: float = 0.0
    margin: float = 0.0
    rival: Rival | None = None
    level_shift_possible: bool = False
    upside_down_possible: bool = False
    gaps: tuple[int, ...] = ()
    scale: float = 1.0
    warnings: tuple[str, ...] = field(default=("no spine was found",))
    left_out: tuple[int, ...] = ()
    further_rivals: tuple[Rival, ...] = ()


def solve_sequence(
    points_lps_mm: npt.ArrayLike,
    scores: npt.ArrayLike,
    channel_labels: Sequence[int] | None = None,
    *,
    inside: Inside | None = None,
    statistics: OffsetStatistics | None = None,
    config: SequenceConfig | None = None,
    numbering: Numbering = Numbering.AUTO,
    doubts: Doubts = NO_DOUBTS,
) -> SequenceResult:
    """The best chain of vertebrae through the given places.

    Args:
        points_lps_mm: (N, 3) places, candidates of one vertebra already merged
            (`vertseg.stages.peaks.find_places`).
        scores: (N, L) height of every label's heatmap at every place; clipped to 0..1.
        channel_labels: (L,) label of every channel; 1, 2, ... L where not given.
        inside: which points are in view, where known: a chain that stops in the middle of the
            image should stop at C1 or at the sacrum.
        statistics: offsets of neighbours; the stored table where not given.
        config: tunables.
        numbering: how numbering variants are treated.
        doubts: what the masks tell of the places.

    Raises:
        ValueError: shapes that do not fit, or values that are not finite.
    """
    config = config or SequenceConfig()
    points, values, labels = _checked(points_lps_mm, scores, channel_labels)
    mass = place_mass(values, config)
    if not (mass >= config.minimum_peak).any():
        return SequenceResult()
    statistics = statistics or load_statistics()
    chains = build_chain_graph(points, values, labels, inside, statistics, config, doubts)
    if numbering == Numbering.USUAL:
        chains = without_variants(chains)
    every, solved = chains, best_paths(chains.graph)
    best = _best(solved)
    variant = None
    if numbering == Numbering.AUTO and not _is_usual(chains, best):
        fewer = without_variants(chains)
        usual = _best(best_paths(fewer.graph))
        if usual.score > max(best.score - config.variant_margin, 0):
            chains, best, variant = fewer, usual, best
    rows = chains.places[[place for place, _ in best.nodes]]
    chosen = {int(row): STATES[state] for row, (_, state) in zip(rows, best.nodes, strict=True)}
    if best.score <= 0 or not _is_credible(chosen, values, labels, config):
        return SequenceResult()
    enough = best.score - config.direction_margin * len(best.nodes)
    upwards = _best_score_upwards(points, values, labels, inside, statistics, config, enough)
    margins, rivals = _rivals(solved, best)
    if variant is not None:
        rivals.insert(0, variant)
    unusual = [not _is_usual(every, path) for path in rivals]
    vertebrae = []
    for row, (_, state), margin in zip(rows, best.nodes, margins, strict=True):
        label = STATES[state]
        x, y, z = points[row].tolist()
        own = float(values[row, labels.index(label)]) if label in labels else 0.0
        sure = float(mass[row])
        vertebrae.append(
            FoundVertebra(label, (x, y, z), own, mass=sure, margin=margin, place=int(row))
        )
    return _result(tuple(vertebrae), best, rivals, unusual, upwards, chains, config)


def _best(solved: BestPaths) -> Path:
    place, state = np.unravel_index(solved.through.argmax(), solved.through.shape)
    return solved.path_through(int(place), int(state))


def _is_usual(chains: ChainGraph, path: Path) -> bool:
    """Whether a path has twelve thoracic and five lumbar vertebrae, as far as it goes."""
    links = [chains.links[chains.link_of_edge[edge]] for edge in path.edges]
    labels = {STATES[state] for _, state in path.nodes}
    return all(link.is_usual for link in links) and not labels & {*RARE}


def _is_credible(
    chosen: dict[int, int], values: np.ndarray, labels: Sequence[int], config: SequenceConfig
) -> bool:
    """Whether the heatmaps say enough for any spine, by height or by agreement with the chain.

    What looks a little like a spine gets low peaks all along, with labels that fit no chain.
    """
    mass = place_mass(values[list(chosen)], config)
    if mass.max() < config.minimum_peak:
        return False
    explained = explained_share(values, labels, chosen)
    high = presence(mass, config).sum() >= config.minimum_presence
    return bool(high or explained >= config.minimum_explained)


def _best_score_upwards(
    points: np.ndarray,
    values: np.ndarray,
    labels: Sequence[int],
    inside: Inside | None,
    statistics: OffsetStatistics,
    config: SequenceConfig,
    enough: float,
) -> float:
    """Score of the best chain in the same places turned upside down; a bound if it is `enough`."""
    turned = inside and (lambda points: inside(points * (1, 1, -1)))
    chains = build_chain_graph(points * (1, 1, -1), values, labels, turned, statistics, config)
    bound = score_bound(chains.graph)
    return bound if bound <= enough else best_score(chains.graph)


def _checked(
    points_lps_mm: npt.ArrayLike, scores: npt.ArrayLike, channel_labels: Sequence[int] | None
) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """The input as arrays of the right shapes, scores clipped to 0..1."""
    points = np.asarray(points_lps_mm, float).reshape(-1, 3)
    values = np.asarray(scores, float)
    if values.ndim != 2 or len(values) != len(points):
        raise ValueError(f"scores must have the shape ({len(points)}, labels), got {values.shape}")
    count = values.shape[1]
    labels = list(range(1, count + 1)) if channel_labels is None else list(channel_labels)
    if len(labels) != count or len(set(labels)) != count:
        raise ValueError(f"channel_labels must be {count} different labels, got {channel_labels}")
    if not set(labels) <= set(LABELS):
        raise ValueError(f"channel_labels must be labels of vertebrae, got {labels}")
    if not (np.isfinite(points).all() and np.isfinite(values).all()):
        raise ValueError("points_lps_mm and scores must be finite")
    return points, np.clip(values, 0, 1), labels


def _highest(values: np.ndarray) -> tuple[int, int]:
    """Row and column of the largest value."""
    row, column = np.unravel_index(values.argmax(), values.shape)
    return int(row), int(column)


def _rivals(solved: BestPaths, best: Path) -> tuple[list[float], list[Path]]:
    """Margin of every node of the best path, and the best paths that relabel one of its places.

    The first of these may relabel any place, the others any but the first, the last or both; each
    path once. Exact: a path labels some place of the best path otherwise if and only if it passes a
    node (place, state of another label), and `BestPaths.through` holds the best path through every
    node.
    """
    others = solved.through[[place for place, _ in best.nodes]]
    labels = np.array([STATES[state] for _, state in best.nodes])
    others[np.array(STATES) == labels[:, None]] = -np.inf
    count = len(others)
    spans = [(0, count), (1, count), (0, count - 1), (1, count - 1)]
    nodes = {}
    for first, last in spans:
        if first < last:
            row, state = _highest(others[first:last])
            nodes[first + row, state] = best.nodes[first + row][0]
    margins = (best.score - others.max(1)).tolist()
    return margins, [solved.path_through(place, state) for (_, state), place in nodes.items()]


def _result(
    vertebrae: tuple[FoundVertebra, ...],
    best: Path,
    rivals: Sequence[Path],
    unusual: Sequence[bool],
    upwards: float,
    chains: ChainGraph,
    config: SequenceConfig,
) -> SequenceResult:
    """Put the result together with its gaps and warnings."""
    links = [chains.links[chains.link_of_edge[edge]] for edge in best.edges]
    rival, *further = (
        _as_rival(path, is_variant, vertebrae, best, chains)
        for path, is_variant in zip(rivals, unusual, strict=True)
    )
    warnings = unusual_links(links)
    # One vertebra has no direction.
    upside_down = best.score - upwards < config.direction_margin * len(vertebrae)
    upside_down = upside_down and len(vertebrae) > 1
    if upside_down:
        warnings.append(UPSIDE_DOWN)
    return SequenceResult(
        vertebrae=vertebrae,
        score=best.score,
        margin=rival.margin,
        rival=rival,
        level_shift_possible=_is_near(rival, vertebrae, config),
        upside_down_possible=upside_down,
        gaps=tuple(label for link in links for label in link.skipped),
        scale=float(chains.poses.scales[best.pose // len(chains.poses.rotations)]),
        warnings=tuple(warnings),
        further_rivals=tuple(further),
    )


def _as_rival(
    path: Path,
    is_variant: bool,
    vertebrae: Sequence[FoundVertebra],
    best: Path,
    chains: ChainGraph,
) -> Rival:
    labels = {int(chains.places[place]): STATES[state] for place, state in path.nodes}
    words = describe_rival(vertebrae, labels, is_variant)
    return Rival(labels, words, best.score - path.score, is_variant)


def _is_near(rival: Rival, vertebrae: Sequence[FoundVertebra], config: SequenceConfig) -> bool:
    """Whether a rival leaves the levels open; of a variant no landmark but the ribs tells."""
    enough = sure_margin({v.label for v in vertebrae}, config)
    return rival.margin < (max(enough, config.variant_margin) if rival.is_variant else enough)


def with_vertebrae(chain: SequenceResult, kept: Sequence[FoundVertebra]) -> SequenceResult:
    """`chain` with some of its vertebrae, and the margin to the best rival that renames one.

    Args:
        chain: as solved.
        kept: its vertebrae, possibly without the first and the last.
    """
    for rival in (chain.rival, *chain.further_rivals):
        words = describe_rival(kept, rival.labels, rival.is_variant) if rival else ""
        if rival and words:
            return replace(
                chain,
                vertebrae=tuple(kept),
                margin=rival.margin,
                rival=replace(rival, description=words),
                level_shift_possible=_is_near(rival, kept, SequenceConfig()),
            )
    return replace(chain, vertebrae=tuple(kept))


def describe_rival(
    vertebrae: Sequence[FoundVertebra], other: Mapping[int, int], is_variant: bool = False
) -> str:
    """In words, which vertebrae a rival chain labels otherwise; empty where it does so with none.

    Args:
        vertebrae: of the chosen chain, from the head downwards.
        other: place -> label in the rival chain.
        is_variant: whether the rival has a numbering variant.
    """
    return difference({found.place: found.label for found in vertebrae}, other, is_variant)
