"""Commands on finished results: ``vertseg relabel OUT ...`` and ``vertseg crop OUT ...``."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vertseg.errors import ConfigurationError, VertsegError
from vertseg.labels import is_vertebra, label_of, name_of
from vertseg.system.log import say, set_up_logging
from vertseg.version import NOTICE

if TYPE_CHECKING:
    from vertseg.report.schema import Report

_LOGGER = logging.getLogger(__name__)

_RELABEL_EPILOG = f"""\
examples:
  vertseg relabel OUT --case sub-01 --shift -1             every level one up: L1 becomes T12
  vertseg relabel OUT --case sub-01 --shift 1 --from T13   T13 becomes L1, and so on below it
  vertseg relabel OUT --case sub-01 --from L1 --as T13     L1 becomes T13, L2 becomes L1
  vertseg relabel OUT --case sub-01 --rival                the other numbering that the report names

Mask, centroids, report, preview, summary and index change together or not at all. The original
outputs are kept beside the new ones, with the ending .before.

{NOTICE}
"""


def main(arguments: Sequence[str]) -> int:
    """Run a command; returns the exit code.

    Args:
        arguments: of the command line, the command first.
    """
    options = COMMANDS[arguments[0]]().parse_args(arguments[1:])
    set_up_logging(options.verbose)
    try:
        options.run(options)
    except VertsegError as error:
        _LOGGER.error("%s", error, exc_info=error if options.verbose else None)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


class _Parser(argparse.ArgumentParser):
    """A parser that ends with the program's own exit code for bad options."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.print_usage(sys.stderr)
        self.exit(1, f"{self.prog}: {message}. See --help.\n")


def _parser(command: str, description: str, epilog: str = "") -> argparse.ArgumentParser:
    parser = _Parser(
        prog=f"vertseg {command}",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("output", type=Path, metavar="OUT", help="folder with the results")
    add("--case", required=True, metavar="X", help="name of the scan, or its last part")
    add(
        "--input",
        type=Path,
        metavar="PATH",
        help="folder with the scans (default: the folder that the results were made from)",
    )
    add("--verbose", action="store_true", help="log details, and tracebacks of failures")
    return parser


def _relabel_parser() -> argparse.ArgumentParser:
    parser = _parser("relabel", "Change the numbering of finished results.", _RELABEL_EPILOG)
    how = parser.add_mutually_exclusive_group(required=True).add_argument
    how("--shift", type=int, metavar="N", help="levels to shift down; negative shifts up")
    how(
        "--as",
        dest="new",
        type=_label,
        metavar="LEVEL",
        help="new name of the level given with --from",
    )
    how("--rival", action="store_true", help="take the other numbering that the report names")
    add = parser.add_argument
    add("--from", dest="first", type=_label, metavar="LEVEL", help="only this level and below")
    add("--by", default="", metavar="NAME", help="who makes the change, for the report")
    parser.set_defaults(run=_relabel)
    return parser


def _crop_parser() -> argparse.ArgumentParser:
    parser = _parser("crop", "Cut out the part of a scan that holds some levels, with its mask.")
    add = parser.add_argument
    add("--levels", type=_levels, required=True, metavar="FIRST-LAST", help="such as T12-L3")
    add(
        "--margin",
        type=float,
        default=10.0,
        metavar="MM",
        help="margin around the levels (default: 10)",
    )
    parser.set_defaults(run=_crop)
    return parser


COMMANDS: dict[str, Callable[[], argparse.ArgumentParser]] = {
    "relabel": _relabel_parser,
    "crop": _crop_parser,
}
"""Name of a command -> its parser."""


def _relabel(options: argparse.Namespace) -> None:
    from vertseg.batch.relabel import Request, relabel
    from vertseg.report.words import found_in_words

    words = _words(options)
    change = partial(_new_labels, options)
    request = Request(options.output, options.case, change, words, options.input, options.by)
    report = relabel(request)
    say(f"{report['case']}: {found_in_words(report)}. The earlier files end with .before.")


def _new_labels(options: argparse.Namespace, report: Report) -> dict[int, int]:
    from vertseg.batch.relabel import labels_in, rival_of
    from vertseg.sequence.rename import renamed, shifted

    labels = labels_in(report)
    if options.rival:
        return rival_of(report)
    if options.new is None:
        return shifted(labels, options.shift, options.first)
    if options.first is None:
        raise ConfigurationError("needs --from", "--as", remedy="Give the level to rename.")
    return renamed(labels, options.first, options.new)


def _words(options: argparse.Namespace) -> str:
    first = f" --from {name_of(options.first)}" if options.first is not None else ""
    if options.rival:
        return "--rival"
    if options.new is not None:
        return f"{first.strip()} --as {name_of(options.new)}"
    return f"--shift {options.shift}{first}"


def _crop(options: argparse.Namespace) -> None:
    from vertseg.batch.crop import crop

    first, last = options.levels
    paths = crop(options.output, options.case, first, last, options.margin, options.input)
    say("\n".join(map(str, paths)))


def _label(text: str) -> int:
    try:
        label = label_of(text.strip())
    except KeyError:
        label = 0
    if not is_vertebra(label):
        raise argparse.ArgumentTypeError(f"{text!r} is not a level such as T12")
    return label


def _levels(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    return _label(first), _label(last or first)
