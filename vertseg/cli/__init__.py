"""The command line.

Only the standard library is imported before the options are known, so that ``--help`` answers at
once; the networks' library is imported when the work begins.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vertseg.batch.options import Options
from vertseg.batch.shards import Shard, parse_shard, shard_of_slurm
from vertseg.errors import ConfigurationError, VertsegError
from vertseg.stages import ALL_STAGES, SEGMENT_ONLY, Stages, parse_stages
from vertseg.version import NOTICE, VERSION

if TYPE_CHECKING:
    from vertseg.batch.outcome import Outcome
    from vertseg.stages.segmenter import Segmenter
from vertseg.system.log import set_up_logging
from vertseg.system.signals import Stopped, stop_on_signals
from vertseg.system.streams import flush_streams, open_closed_streams

_LOGGER = logging.getLogger(__name__)

_SELFTEST = "--selftest"
_EPILOG = f"""\
outputs for each scan X.nii.gz (in BIDS sub-A_ct.nii.gz), in the same folders as in the input;
the mask of X.mha or X.mhd is X_seg.mha, that of X.nrrd X_seg.nrrd, that of a DICOM series
.nii.gz, and images/SLUG/X.mha of grand-challenge.org has the outputs it expects:
  X_seg.nii.gz   labels on the scan's own grid   (sub-A_seg-vert_msk.nii.gz)
  X_ctd.json     centroids                       (sub-A_seg-subreg_ctd.json)
  X_report.json  what was found, measured, flagged
  X_preview.png  the picture to look at first
and for all scans together: summary.csv, one row per vertebra, and index.html.

as a BIDS App: vertseg BIDS_DIR OUT_DIR participant [--participant-label 01 02] [options]
commands on finished results: vertseg relabel --help, vertseg crop --help

exit codes:
  0  all results are written, or the self-test passed
  1  bad options, weights or device; nothing was run
  2  some scans failed; the results of the others are written
  3  there is no readable scan
  130, 143  stopped by Ctrl-C or SIGTERM; every file written is complete

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
    open_closed_streams()
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if given and given[0] in ("relabel", "crop"):
            from vertseg.commands import main as run_command

            return run_command(given)
        return _main(parse(given), load)
    finally:
        flush_streams()


def _main(options: Options, load: Callable[[Options], Segmenter] | None) -> int:
    set_up_logging(options.verbose, as_json=options.log_format == "json")
    try:
        with stop_on_signals():
            if options.selftest:
                return _selftest(options)
            options = _checked(options)
            if options.list_only:
                return _list(options)
            outcome = _run(options, load)
    except VertsegError as error:
        _LOGGER.error("%s", error, exc_info=error if options.verbose else None)
        return error.exit_code
    except Stopped as stop:
        _LOGGER.warning("Stopped by %s.", stop)
        return stop.exit_code
    _show(outcome, options)
    return outcome.exit_code


def parse(arguments: Sequence[str] | None = None) -> Options:
    """The options of a command line; like argparse, ends the process with code 1 on bad ones."""
    given = sys.argv[1:] if arguments is None else arguments
    given = _from_bids_app(list(given))
    parser = build_parser(needs_paths=_SELFTEST not in given)
    found = vars(parser.parse_args(given))
    first, *more = [*found.pop("input"), *found.pop("input_list")] or [Path()]
    if first == Path() and not found["selftest"]:
        parser.error("the following arguments are required: --input or --input-list")
    return Options(input=first, more_inputs=tuple(more), **found)


def _from_bids_app(given: list[str]) -> list[str]:
    """The command line of a BIDS App, ``BIDS_DIR OUT_DIR participant ...``, as that of this one."""
    if len(given) < 3 or given[2] != "participant" or any(a.startswith("-") for a in given[:2]):
        return given
    parser = _Parser(prog="vertseg BIDS_DIR OUT_DIR participant", add_help=False)
    parser.add_argument("--participant-label", "--participant_label", nargs="+", default=[])
    labels, others = parser.parse_known_args(given[3:])
    patterns = [f"*sub-{name.removeprefix('sub-')}[/_]*" for name in labels.participant_label]
    only = [word for pattern in patterns for word in ("--only", pattern)]
    return ["--input", given[0], "--output", given[1], *only, *others]


class _Parser(argparse.ArgumentParser):
    """A parser that ends with the program's own exit code for bad options."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.print_usage(sys.stderr)
        self.exit(1, f"{self.prog}: {message}. See --help.\n")


class _Patterns(argparse.Action):
    """Collects patterns: one as it is, several as a tuple."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        before = getattr(namespace, self.dest)
        several = before if isinstance(before, tuple) else (before,) if before else ()
        setattr(namespace, self.dest, (*several, values) if several else values)


def build_parser(needs_paths: bool = True) -> argparse.ArgumentParser:
    """The parser of the command line; `needs_paths`: where files are must be given."""
    parser = _Parser(
        prog="predict.py",
        description="Find, name and segment the vertebrae in CT scans "
        "(NIfTI, MetaImage, NRRD, DICOM series).",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    inputs = parser.add_argument_group("input and output")
    inputs.add_argument(
        "--input",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="folder with scans, one scan, or a zip archive of DICOM; may be given several times",
    )
    inputs.add_argument(
        "--input-list",
        type=_listed,
        default=[],
        metavar="FILE",
        help="text file with further inputs, one path per line, relative to that file's folder",
    )
    paths: dict[str, Any] = {"type": Path, "required": needs_paths, "default": Path()}
    inputs.add_argument("--output", metavar="FOLDER", help="folder for the outputs", **paths)
    add(
        "--only",
        action=_Patterns,
        metavar="PATTERN",
        help="only scans whose name or path matches, such as 'sub-0*'; may be repeated",
    )
    add(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="skip scans whose outputs are complete, from the same file, weights and options",
    )
    add(
        "--overwrite",
        action="store_true",
        help="replace files in the output folder even if this program did not write them, or "
        "they were changed since",
    )
    add(
        "--centroid-format",
        choices=("verse20", "verse19"),
        default="verse20",
        help="voxel indices with directions, or 1 mm from the first voxel (default: %(default)s)",
    )
    add(
        "--centroids",
        type=Path,
        metavar="FOLDER",
        help="segment from these centroid files; scans without one are processed in full",
    )
    add(
        "--stages",
        type=_stages,
        default=ALL_STAGES,
        metavar="LIST",
        help="run only a part: spine, or spine,vertebrae (find and name, no mask), or segmentation "
        "(only scans with --centroids)",
    )
    add("--heatmaps", action="store_true", help="also write the heatmaps of the first two stages")
    add("--dicom-seg", action="store_true", help="also write masks of DICOM series as DICOM SEG")
    add(
        "--dicom-rtstruct",
        action="store_true",
        help="also write outlines of DICOM series as RTSTRUCT",
    )
    add(
        "--dicom-report",
        action="store_true",
        help="also write measurements of DICOM series as DICOM SR",
    )
    add(
        "--dicom-preview",
        action="store_true",
        help="also write previews of DICOM series as Secondary Capture",
    )
    add("--markups", action="store_true", help="also write centroids for 3D Slicer: X_ctd.mrk.json")
    add("--mask-1mm", action="store_true", help="also write the mask with voxels of 1 mm")
    add(
        "--parts",
        action="store_true",
        help="also write masks of body, arch and processes, and of cortical and trabecular bone",
    )
    add(
        "--meshes",
        nargs="?",
        const="glb",
        choices=("glb", "stl"),
        help="also write surfaces: one GLB with a node per vertebra (default), or STL files",
    )
    add(
        "--gpus",
        type=_gpus,
        metavar="N",
        help="share the scans among N GPUs of this machine, or all; one process per GPU",
    )
    add(
        "--shard",
        type=_shard,
        metavar="K/N",
        help="process share K of N; auto/N takes K from an Indexed Job of Kubernetes "
        "(default: all, or the task's share in a Slurm array)",
    )
    add(
        "--merge",
        action="store_true",
        help="process no scan: write one summary and index for all shards",
    )
    add(
        "--review",
        type=Path,
        metavar="CSV",
        help="with --merge: marks saved from index.html; lists the wrong ones and their repair",
    )
    add("--force", action="store_true", help="also process scans whose values do not look like HU")
    add("--weights", type=Path, metavar="FOLDER", help="weights (default: the bundled ones)")
    add(
        "--device",
        choices=("auto", "gpu", "cpu"),
        default="auto",
        help="auto uses a GPU if there is one (default: %(default)s)",
    )
    add(
        "--backend",
        choices=("auto", "openvino", "tensorflow", "jax"),
        default="auto",
        help="library that the networks run on (default: %(default)s, OpenVINO on CPUs, TensorFlow "
        "on GPUs)",
    )
    add(
        "--precision",
        choices=("auto", "float32", "bfloat16", "float16"),
        default="auto",
        help="precision of the networks (default: %(default)s, the fastest that is safe)",
    )
    add(
        "--tile-overlap",
        type=_natural,
        metavar="VOXELS",
        help="overlap of tiles along the spine; more is slower and finds more",
    )
    add(
        "--numbering",
        choices=("auto", "usual", "any"),
        default="auto",
        help="T13, L6 or an absent T12: auto writes them where they are clearly better, any where "
        "they are better at all, usual never (default: %(default)s)",
    )
    modes: dict[str, Any] = {"action": "store_const", "dest": "mode", "default": "usual"}
    mode = parser.add_mutually_exclusive_group().add_argument
    mode(
        "--fast",
        const="fast",
        help="larger voxels: two thirds of the work, masks a little rougher",
        **modes,
    )
    mode("--reference", const="reference", help="float32, plain and slow, for comparison", **modes)
    mode(
        "--published",
        const="published",
        help="the inference of Payer et al., VISAPP 2020, for comparison",
        **modes,
    )
    add("--threads", type=_positive, metavar="N", help="processor threads (default: all)")
    add("--verbose", action="store_true", help="log details, and tracebacks of failures")
    add(
        "--log-format",
        choices=("text", "json"),
        default="text",
        help="json: one object per line on standard error, for programs (default: %(default)s)",
    )
    add(
        "--list",
        dest="list_only",
        action="store_true",
        help="process nothing: list what would be done with each scan and file, and why",
    )
    add(_SELFTEST, action="store_true", help="only check weights, device and each network")
    parser.add_argument("--version", action="version", version=f"vertseg {VERSION}")
    return parser


def _listed(text: str) -> list[Path]:
    """Paths from a file; empty lines and lines that begin with # are skipped."""
    file = Path(text)
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeError) as error:
        raise argparse.ArgumentTypeError(f"{file} cannot be read as text: {error}") from error
    names = [line.strip() for line in lines]
    found = [file.parent / name for name in names if name and not name.startswith("#")]
    if not found:
        raise argparse.ArgumentTypeError(f"{file} holds no path")
    return found


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


def _shard(text: str) -> Shard:
    try:
        return parse_shard(text, os.environ)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _stages(text: str) -> Stages:
    try:
        return parse_stages(text)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _gpus(text: str) -> int:
    return 0 if text == "all" else _positive(text)


def _checked(options: Options) -> Options:
    """The options, if they go together; in a Slurm array, with the task's place in it."""
    if options.centroids is not None and not options.segmentation:
        what = "are to be segmented, but --stages leaves that out"
        raise ConfigurationError(what, "--centroids", remedy="Leave out one of them.")
    if options.centroids is None and options.stages == SEGMENT_ONLY:
        remedy = "Give --centroids FOLDER."
        raise ConfigurationError("needs centroids", "--stages segmentation", remedy=remedy)
    if options.mask_1mm and options.mode in ("reference", "published"):
        what, remedy = f"with --{options.mode}", "Leave out one of them."
        raise ConfigurationError(what, "--mask-1mm", remedy=remedy)
    if options.gpus is not None and options.device == "cpu":
        raise ConfigurationError("with --device cpu", "--gpus", remedy="Leave out one of them.")
    if options.merge:
        return replace(options, shard=None)
    if options.review is not None:
        raise ConfigurationError("needs --merge", "--review", remedy="Add --merge.")
    shard, among = options.shard, None
    if shard is None and (options.more_inputs or options.input.is_dir()):
        among = shard_of_slurm(os.environ)
    several = [part if part is not None and part.count > 1 else None for part in (shard, among)]
    return replace(options, shard=several[0], among=several[1])


def _run(options: Options, load: Callable[[Options], Segmenter] | None) -> Outcome:
    from vertseg.batch.run import load_segmenter, run_batch

    if options.merge:
        from vertseg.batch.outcome import merge_shards

        return merge_shards(options)
    if options.gpus is not None:
        from vertseg.batch.gpus import run_on_gpus

        return run_on_gpus(options, load or load_segmenter)
    return run_batch(options, load or load_segmenter)


def _list(options: Options) -> int:
    from vertseg.batch.listing import as_table, exit_code, list_cases
    from vertseg.batch.run import find_for
    from vertseg.system.log import say

    lines = list(list_cases(find_for(options), options))
    say(as_table(lines))
    return exit_code(lines)


def _selftest(options: Options) -> int:
    from vertseg.stages.selftest import run_checks
    from vertseg.system.log import say

    passed = True
    checks = run_checks(
        options.weights, options.device, options.precision, options.threads, options.backend
    )
    for check in checks:
        say(str(check))
        passed &= check.passed
    return 0 if passed else 1


def _show(outcome: Outcome, options: Options) -> None:
    from vertseg.report.overview import GALLERY, SUMMARY
    from vertseg.report.table import format_table
    from vertseg.system.log import say

    look = f"Look at {GALLERY}; every vertebra is in {SUMMARY}."
    if options.shard is not None:
        look = f"Every vertebra of this shard is in {options.shard.summary}. "
        look += f"When all shards are done, --merge writes {GALLERY} and {SUMMARY}."
    table = format_table(outcome.reports, outcome.left_out)
    say(f"{table}\n\nOutputs: {options.output}. {look}\n{NOTICE}")
