"""Validation of weights on sets that train nothing, unless a leg was told to use them.

``factory``: synthetic scans along spine courses of patients who are kept out of training;
``extreme``: the same with postures, C2 and twelfth ribs that few people have; ``thick``: the same
in slices of 3 and 5 mm.
``real``: the scans that are held out (`real.HELD_OUT`). ``chest``: the chest CT of
`vertseg.evaluate.chest_ct`. ``parts``: windows of six vertebrae of the real scans and the chest
CT, of which many show neither end of the ribs, nor dens or sacrum. ``folds``: all real scans,
each found and named by other weights, which have not seen it. Where there are masks, the
segmentation is also run alone, from true centroids. Predictions come from ``predict.py`` and
scores from `vertseg.evaluate`, as for any other data.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from vertseg import cli
from vertseg.errors import ConfigurationError
from vertseg.evaluate import evaluate
from vertseg.evaluate.cases import read_pair
from vertseg.evaluate.chest_ct import SampleError, fetch_chest_ct
from vertseg.evaluate.scores import VertebraScore, average, without_mask
from vertseg.evaluate.tables import as_markdown
from vertseg.geometry.centroid import Centroid
from vertseg.io.annotations import find_case_files
from vertseg.io.centroids import write_centroids
from vertseg.stages.weights import MANIFEST, load_weights
from vertseg.training.data.real import HELD_OUT, HELD_OUT_MASKS, UNSURE_LEVELS
from vertseg.training.validate.cases import EXTREME, FACTORY, MARKS, THICK, write_cases
from vertseg.training.validate.mask_scores import bodies_of_mask, read_mask_scores
from vertseg.training.validate.mask_tables import mask_tables
from vertseg.training.validate.parts import write_parts
from vertseg.training.validate.tables import by_case, by_margin, by_mark, worst_cases
from vertseg.training.validate.whole_scans import read_flags, whole_scans

log = logging.getLogger(__name__)

_WORST = 5


def validate(
    data: Path,
    work: Path,
    weights: Path | None = None,
    count: int = 60,
    folds: Path | None = None,
) -> str:
    """Tables in Markdown of all sets; a set that is not available is named as missing.

    The previews of the worst masks of each set are copied to `work`/worst.

    Args:
        data: folder with ``atlas/``, ``ct/`` and the centroid tables.
        work: folder for scans and predictions; what is there already is used again.
        weights: folder of weights; the bundled ones if None.
        count: number of factory cases.
        folds: folder with folders of weights, whose manifests say which scans each has not seen.

    Raises:
        ConfigurationError: the program did not run, or there are no such weights.
    """
    write_cases(data, work / "factory", count, FACTORY)
    write_cases(data, work / "extreme", (count + 1) // 2, EXTREME)
    write_cases(data, work / "thick", (count + 2) // 3, THICK)
    _link_scans(data, work / "real", HELD_OUT)
    sets = ["factory", "extreme", "thick", "real"]
    try:
        fetch_chest_ct(work / "chest")
        sets.append("chest")
    except SampleError as error:
        log.warning("without the chest CT: %s", error)
    for name in sets[3:]:
        write_parts(work / name, work / "parts")
    if (work / "parts").exists():
        sets.append("parts")
    parts = []
    for name in sets:
        predictions = work / "predictions" / name
        _run(work / name / "rawdata", predictions, weights, [])
        scores = evaluate(work / name, predictions, count_missing=True)[0]
        parts += [f"## {name}", *(seen_in_training(weights) if name == "real" else ())]
        parts += _tables_of_names(scores, work / name, predictions)
        if masks := read_mask_scores(work / name, predictions, scores):
            parts += [f"### {name}, masks", mask_tables(masks)]
        parts += _from_truth(work, name, weights)
        _copy_worst(worst_cases(scores, _WORST), predictions, work / "worst" / name)
    if folds is not None:
        parts += in_folds(data / "ct", work, folds)
    return "\n\n".join(parts)


def validate_names(
    scans: Path,
    work: Path,
    weights: Path | None = None,
    numbering: str = "auto",
    folds: Path | None = None,
) -> str:
    """Tables in Markdown of how scans with points are found and named, without segmenting them.

    The segmentation only tells, besides, which vertebrae at the ends are cut. Vertebrae whose level
    is doubtful in a scan are left out.

    Args:
        scans: scans with centroids, found as by `vertseg.evaluate`.
        work: folder for predictions; what is there already is used again.
        weights: folder of weights; the bundled ones if None.
        numbering: how variants are treated, see `vertseg.sequence.solve.Numbering`.
        folds: folder with folders of weights; each scan is then named by those that have not seen
            it (`in_folds`), and the others are left out.

    Raises:
        ConfigurationError: the program did not run, or no weights have left a scan out.
    """
    options = ["--stages", "spine,vertebrae", "--numbering", numbering]
    if folds is not None:
        return "\n\n".join(in_folds(scans, work, folds, options))
    predictions = work / "predictions" / scans.resolve().name
    _run(scans / "rawdata", predictions, weights, options)
    scores = [without_mask(s) for s in evaluate(scans, predictions, count_missing=True)[0]]
    scores = [s for s in scores if s.label not in UNSURE_LEVELS.get(_name(s.case), ())]
    return "\n\n".join(["## names", *_tables_of_names(scores, scans, predictions)])


def _tables_of_names(scores: Sequence[VertebraScore], scans: Path, predictions: Path) -> list[str]:
    """Tables by region, by what is hard about a scan where that is known, by margin and by flag."""
    tables = [as_markdown(average(scores), scores)]
    if (scans / MARKS).exists():
        marks = json.loads((scans / MARKS).read_text(encoding="utf-8"))
        tables += [by_mark(scores, marks)]
    tables += [by_margin(scores, _margins(predictions))]
    return [*tables, whole_scans(scores, read_flags(predictions))]


def validate_parts(
    scans: Path, work: Path, weights: Path | None = None, only: Collection[str] | None = None
) -> str:
    """Tables in Markdown of windows of six vertebrae, cut from scans with points.

    Args:
        scans: scans with centroids, found as by `vertseg.evaluate`.
        work: folder for windows and predictions; what is there already is used again.
        weights: folder of weights; the bundled ones if None.
        only: names of scans, without ``sub-``; None for all.

    Raises:
        ConfigurationError: the program did not run.
    """
    write_parts(scans, work / "parts", only=only)
    predictions = work / "predictions" / "parts"
    _run(work / "parts" / "rawdata", predictions, weights, ["--stages", "spine,vertebrae"])
    scores = evaluate(work / "parts", predictions, count_missing=True)[0]
    scores = [s for s in scores if s.label not in UNSURE_LEVELS.get(_scan_of(s.case), ())]
    tables = [as_markdown(average(scores), scores), whole_scans(scores, read_flags(predictions))]
    return "\n\n".join(["## parts", *tables])


def in_folds(scans: Path, work: Path, folds: Path, options: Sequence[str] = ()) -> list[str]:
    """Tables of the real scans with points, each found and named by weights that have not seen it.

    That is, by weights whose vertebrae stage has not. A sentence names the scans that the spine
    stage, which tells no level, has seen. The segmentation stage, which here only tells what the
    border cuts, may have seen any. Vertebrae whose level is doubtful in a scan are left out.

    Args:
        scans: scans with centroids, found as by `vertseg.evaluate`.
        work: folder for links to the scans and for predictions.
        folds: folder with folders of weights.
        options: of the program, besides scans and weights.

    Raises:
        ConfigurationError: the program did not run, or there are no weights that have not seen
            some scan.
    """
    found: list[VertebraScore] = []
    margins: dict[str, float] = {}
    flags: dict[str, list[str]] = {}
    taken: set[str] = set()
    spine_seen: set[str] = set()
    for weights in sorted(path.parent for path in folds.glob(f"*/{MANIFEST}")):
        never = load_weights(weights).manifest.get("held_out", {})
        unseen = {*never.get("vertebrae", ())} - taken
        links = work / "folds" / weights.name
        unseen = {name for name in unseen if _link_points(scans, links, name)}
        if not unseen:
            continue
        taken |= unseen
        spine_seen |= unseen - {*never.get("spine", ())}
        predictions = work / "predictions_in_folds" / weights.name
        _run(links / "rawdata", predictions, weights, options)
        for score in evaluate(links, predictions, count_missing=True)[0]:
            name = _name(score.case)
            # Not what other weights of this name have left in the folder.
            if name in unseen and score.label not in UNSURE_LEVELS.get(name, ()):
                found.append(without_mask(score))
        margins |= _margins(predictions)
        flags |= read_flags(predictions)
    if not found:
        raise ConfigurationError("no weights in it have left a scan out", str(folds))
    sentences = [_spine_seen(spine_seen)] if spine_seen else []
    tables = [as_markdown(average(found), found), by_case(found), by_margin(found, margins)]
    return ["## folds", *sentences, *tables, whole_scans(found, flags)]


def _spine_seen(names: Collection[str]) -> str:
    return f"The spine stage, but not the vertebrae stage, has seen {', '.join(sorted(names))}."


def _name(case: str) -> str:
    return case.removeprefix("sub-")


def _scan_of(part: str) -> str:
    """Name of the scan that a part is cut from."""
    return _name(part).rpartition("x")[0]


def _from_truth(work: Path, name: str, weights: Path | None) -> list[str]:
    """Tables of the segmentation of one set from true centroids; none if it has no masks."""
    given = work / "given" / name
    known = _give(work / name, given)
    if not known:
        return []
    predictions = work / "predictions_from_truth" / name
    _run(given / "rawdata", predictions, weights, ["--centroids", str(given / "centroids")])
    scores = evaluate(work / name, predictions, count_missing=True)[0]
    scores = [s for s in scores if (s.case, s.label) in known]
    title = f"### {name}, segmented from true centroids"
    masks = read_mask_scores(work / name, predictions, scores)
    return [title, as_markdown(average(scores), scores), mask_tables(masks)]


def seen_in_training(weights: Path | None) -> list[str]:
    """A sentence for each stage that has seen scans of the set, of which it proves nothing."""
    never = load_weights(weights).manifest.get("held_out", {})
    sentences = []
    for stage, names in never.items():
        usual = HELD_OUT_MASKS if stage == "segmentation" else HELD_OUT
        seen = [name for name in usual if name not in names]
        if seen:
            sentences.append(f"The {stage} stage was free to train on {', '.join(seen)}.")
    return sentences


def _link_scans(data: Path, folder: Path, names: Collection[str]) -> None:
    """Scans and all that is known of them, as links."""
    for source in sorted(data.glob("ct/*/sub-*")):
        if _name(source.name) in names:
            _link(source, folder / source.parent.name / source.name)


def _link_points(scans: Path, folder: Path, name: str) -> bool:
    """A scan and its points as links; False if it has none."""
    subject = f"sub-{name}"
    points = sorted((scans / "derivatives" / subject).glob("*_ctd.json"))
    for source in points:
        _link(source, folder / "derivatives" / subject / source.name)
        _link(scans / "rawdata" / subject, folder / "rawdata" / subject)
    return bool(points)


def _link(source: Path, link: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.symlink_to(source.resolve())


def _run(scans: Path, predictions: Path, weights: Path | None, options: Sequence[str]) -> None:
    chosen = [] if weights is None else ["--weights", str(weights)]
    code = cli.main(["--input", str(scans), "--output", str(predictions), *chosen, *options])
    if code == 1:
        raise ConfigurationError("the program did not run", where=str(scans))


def _give(folder: Path, to: Path) -> set[tuple[str, int]]:
    """Gives the scans with masks (`to`/rawdata) their true centroids (`to`/centroids).

    Returns:
        Case and label of every vertebra that is given.
    """
    known = set()
    for name, files in find_case_files(folder).items():
        if files.mask is None or files.scan is None:
            continue
        annotation, _ = read_pair(files, files)
        points = annotation.points_lps_mm or bodies_of_mask(annotation)
        if not points or annotation.grid is None:
            continue
        centroids = [Centroid.at(label, point) for label, point in points.items()]
        link = to / "rawdata" / files.scan.name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(files.scan.resolve())
        (to / "centroids").mkdir(exist_ok=True)
        write_centroids(to / "centroids" / f"{name}_ctd.json", centroids, annotation.grid)
        known |= {(name, label) for label in points}
    return known


def _margins(predictions: Path) -> dict[str, float]:
    """Margin of each case from its report, by the name that the scores use."""
    margins = {}
    for path in sorted(predictions.rglob("*_report.json")):
        report = json.loads(path.read_text(encoding="utf-8"))
        margin = report.get("sequence", {}).get("margin_nats")
        margins[path.name.removesuffix("_report.json")] = np.inf if margin is None else margin
    return margins


def _copy_worst(cases: list[str], predictions: Path, folder: Path) -> None:
    """Previews of `cases`, numbered from the worst on."""
    folder.mkdir(parents=True, exist_ok=True)
    for rank, case in enumerate(cases, 1):
        for preview in predictions.rglob(f"{case}_preview.png"):
            shutil.copyfile(preview, folder / f"{rank}_{case}.png")
