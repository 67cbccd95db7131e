"""The command line.

Only the standard library is imported before the options are known, so that ``--help`` answers at
once; TensorFlow is imported when the work begins.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vertseg.errors import VertsegError
from vertseg.options import Options
from vertseg.version import NOTICE, VERSION

if TYPE_CHECKING:
    from vertseg.batch import Outcome
    from vertseg.pipeline import Segmenter

_LOGGER = logging.getLogger(__name__)

_EPILOG = f"""\
outputs, for each scan X.nii.gz (in BIDS sub-A_ct.nii.gz), in folders as in the input:
  X_seg.nii.gz   labels on the scan's own grid   (sub-A_seg-vert_msk.nii.gz)
  X_ctd.json     centroids                       (sub-A_seg-subreg_ctd.json)
  X_report.json  what was found, measured, flagged
  X_preview.png  to look at first
and for all scans together summary.csv, one row a vertebra, and index.html.

exit codes:
  0  every scan is written
  1  options, weights or device: nothing was run
  2  some scans failed, the others are written
  3  there is no scan that can be read
  130, 143  stopped by Ctrl-C or SIGTERM; what is written is whole

{NOTICE}
"""


def main(
    arguments: Sequence[str] | None = None, load: Callable[[Options], Segmenter] | None = None
) -> int:
    """Run the program.

    Args:
        arguments: of the command line; those of the process if None.
        load: makes the segmenter from the options; the real one if None.

    Returns:
        The exit code.
    """
    options = parse(arguments)
    _set_up(options)
    try:
        outcome = _run(options, load)
    except VertsegError as error:
        _LOGGER.error("%s", error, exc_info=error if options.verbose else None)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    _show(outcome, options)
    return outcome.exit_code


def parse(arguments: Sequence[str] | None = None) -> Options:
    """The options of a command line; like argparse, ends the process with code 1 on bad ones."""
    return Options(**vars(_parser().parse_args(arguments)))


class _Parser(argparse.ArgumentParser):
    """A parser that ends with the program's own exit code for bad options."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.print_usage(sys.stderr)
        self.exit(1, f"{self.prog}: {message}. See --help.\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="predict.py",
        description="Find, name and segment the vertebrae in CT scans (NIfTI).",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--input", type=Path, required=True, metavar="PATH", help="folder with scans, or one scan")
    add("--output", type=Path, required=True, metavar="FOLDER", help="folder for the outputs")
    add("--only", metavar="PATTERN", help="only scans whose name or path fits, such as 'sub-0*'")
    add(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="leave out scans that are complete, from the same file, weights and options",
    )
    add(
        "--centroid-format",
        choices=("verse20", "verse19"),
        default="verse20",
        help="voxel indices with directions, or 1 mm from the first voxel (default: %(default)s)",
    )
    add("--force", action="store_true", help="take scans whose values do not look like HU, too")
    add("--weights", type=Path, metavar="FOLDER", help="weights (default: those that come along)")
    add(
        "--device",
        choices=("auto", "gpu", "cpu"),
        default="auto",
        help="auto takes a GPU if there is one (default: %(default)s)",
    )
    add(
        "--precision",
        choices=("auto", "float32", "bfloat16", "float16"),
        default="auto",
        help="of the networks' arithmetic (default: %(default)s, the fastest that is safe)",
    )
    add(
        "--tile-overlap",
        type=_natural,
        metavar="VOXELS",
        help="overlap of tiles along the spine; more is slower and finds more",
    )
    add("--threads", type=_positive, metavar="N", help="processor threads (default: all)")
    add("--verbose", action="store_true", help="log details, and tracebacks of failures")
    parser.add_argument("--version", action="version", version=f"vertseg {VERSION}")
    return parser


def _natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is negative")
    return number


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not positive")
    return number


def _set_up(options: Options) -> None:
    """Log to standard error; quieten the libraries, whose lines would drown the program's."""
    from vertseg.progress import TqdmHandler

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if options.verbose else "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    logger = logging.getLogger("vertseg")
    logger.handlers[:] = [TqdmHandler()]
    logger.propagate = False  # libraries put handlers on the root
    logger.setLevel(logging.DEBUG if options.verbose else logging.INFO)


def _run(options: Options, load: Callable[[Options], Segmenter] | None) -> Outcome:
    from vertseg.batch import load_segmenter, run_batch

    return run_batch(options, load or load_segmenter)


def _show(outcome: Outcome, options: Options) -> None:
    from vertseg.batch import GALLERY, SUMMARY
    from vertseg.table import format_table

    print(format_table(outcome.reports))
    print(f"\nOutputs: {options.output}. Look at {GALLERY}; every vertebra is in {SUMMARY}.")
    print(NOTICE)
