"""``python -m vertseg.evaluate``: how good predictions are, in the measures of the challenge."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from vertseg.errors import InputError, NoInputError, VertsegError
from vertseg.evaluate.cases import Annotation, read_pair
from vertseg.evaluate.density import format_density, score_density
from vertseg.evaluate.fractures import format_fractures, score_fractures
from vertseg.evaluate.scores import VertebraScore, average, score_case
from vertseg.evaluate.tables import FORMATS, beside
from vertseg.io.annotations import find_case_files

_LOGGER = logging.getLogger(__name__)

_EPILOG = """\
identification: share of the annotated vertebrae that are predicted less than 20 mm from where they
are annotated, with no other annotated centroid nearer; precision: the same share of the predicted
ones. Missing vertebrae have Dice 0; their Hausdorff distance is undefined and counted. Averages are
mean +- standard deviation over vertebrae and, after the bar, over scans.
"""


def evaluate(
    reference: Path, prediction: Path, count_missing: bool = False
) -> tuple[list[VertebraScore], list[str]]:
    """Scores of all cases that both folders have.

    Args:
        reference: folder or file with the truth.
        prediction: folder or file with the results.
        count_missing: whether reference cases without any result count as not found.

    Returns:
        The scores, and the names of reference cases without a result.

    Raises:
        NoInputError: there is no pair.
        InputError: a file cannot be read.
    """
    truth, results = find_case_files(reference), find_case_files(prediction)
    scores: list[VertebraScore] = []
    absent = sorted(truth.keys() - results.keys())
    for name in sorted(truth.keys() & results.keys()):
        both = read_pair(truth[name], results[name])
        try:
            scores += score_case(name, *both)
        except ValueError as error:
            remedy = "Evaluate masks on the scan's own grid."
            raise InputError(str(error), str(results[name].mask), remedy=remedy) from error
    if count_missing:
        for name in absent:
            annotated, _ = read_pair(truth[name], truth[name])
            scores += score_case(name, annotated, Annotation({}))
    elif len(absent) == len(truth):
        remedy = "Names must agree: X_ctd.json or X_seg.nii.gz on both sides."
        raise NoInputError(
            f"has no result for any case of {reference}", str(prediction), "", remedy
        )
    return scores, absent


def in_both(
    scores: Sequence[VertebraScore], other: Sequence[VertebraScore]
) -> tuple[list[VertebraScore], list[VertebraScore]]:
    """The scores of the scans that two evaluations share."""
    cases = {score.case for score in scores} & {score.case for score in other}
    return [s for s in scores if s.case in cases], [s for s in other if s.case in cases]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m vertseg.evaluate",
        description="Compare predicted centroids and masks with a reference.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--reference", type=Path, help="the truth: folder or file")
    parser.add_argument("--prediction", type=Path, required=True, help="folder of results")
    parser.add_argument(
        "--compare",
        type=Path,
        metavar="FOLDER",
        help="further results of the same scans, compared with those of --prediction",
    )
    parser.add_argument(
        "--fractures",
        type=Path,
        metavar="CSV",
        help="a reader's Genant grades, compared with the results",
    )
    parser.add_argument(
        "--density",
        type=Path,
        metavar="CSV",
        help="bone mineral densities, compared with trabecular HU",
    )
    parser.add_argument("--format", choices=FORMATS, default="text")
    parser.add_argument("--output", type=Path, help="file to write instead of the terminal")
    parser.add_argument(
        "--count-missing",
        action="store_true",
        help="count reference scans without any result as not found instead of leaving them out",
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(levelname)s: %(message)s")
    if not (options.reference or options.fractures or options.density):
        parser.error("give --reference, --fractures or --density")
    try:
        text = "\n\n".join(_texts(options))
    except VertsegError as error:
        _LOGGER.error("%s", error)
        return error.exit_code
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")
    else:
        sys.stdout.write(text + "\n")
    return 0


def _texts(options: argparse.Namespace) -> Iterator[str]:
    """What was asked for, one after another."""
    if options.reference is not None:
        yield _compared(options)
    if options.fractures is not None:
        yield format_fractures(score_fractures(options.fractures, options.prediction))
    if options.density is not None:
        yield format_density(score_density(options.density, options.prediction))


def _compared(options: argparse.Namespace) -> str:
    scores, absent = evaluate(options.reference, options.prediction, options.count_missing)
    other = None
    if options.compare is not None:
        other = evaluate(options.reference, options.compare, options.count_missing)[0]
        scores, other = in_both(scores, other)
    if absent:
        verb = "counted as not found" if options.count_missing else "left out"
        _LOGGER.warning("%d scans without a result %s: %s", len(absent), verb, ", ".join(absent))
    if other is not None:
        return beside(average(scores), average(other), options.prediction, options.compare)
    return FORMATS[options.format](average(scores), scores)


if __name__ == "__main__":
    sys.exit(main())
