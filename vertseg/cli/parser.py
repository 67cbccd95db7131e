"""The options of the command line.

Groups follow each other as ``--help`` lists them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vertseg.batch.options import Options
from vertseg.cli.arguments import Patterns, gpus, listed, natural, positive, shard, stages
from vertseg.stages import ALL_STAGES
from vertseg.version import NOTICE, VERSION

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
    _add_places(parser, needs_paths)
    _add_choice(parser)
    _add_parts(parser)
    _add_outputs(parser)
    _add_sharing(parser)
    _add_networks(parser)
    _add_search(parser)
    _add_program(parser)
    return parser


def _add_places(parser: argparse.ArgumentParser, needs_paths: bool) -> None:
    """Where scans are and outputs go."""
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
        type=listed,
        default=[],
        metavar="FILE",
        help="text file with further inputs, one path per line, relative to that file's folder",
    )
    paths: dict[str, Any] = {"type": Path, "required": needs_paths, "default": Path()}
    inputs.add_argument("--output", metavar="FOLDER", help="folder for the outputs", **paths)


def _add_choice(parser: argparse.ArgumentParser) -> None:
    """Which scans are processed, and which files replaced."""
    add = parser.add_argument
    add(
        "--only",
        action=Patterns,
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


def _add_parts(parser: argparse.ArgumentParser) -> None:
    """Which parts of the job are done, and the form of centroids."""
    add = parser.add_argument
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
        type=stages,
        default=ALL_STAGES,
        metavar="LIST",
        help="run only a part: spine, or spine,vertebrae (find and name, no mask), or segmentation "
        "(only scans with --centroids)",
    )


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    """Outputs beyond the usual ones."""
    add = parser.add_argument
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


def _add_sharing(parser: argparse.ArgumentParser) -> None:
    """One input among several processes, and the end of all."""
    add = parser.add_argument
    add(
        "--gpus",
        type=gpus,
        metavar="N",
        help="share the scans among N GPUs of this machine, or all; one process per GPU",
    )
    add(
        "--shard",
        type=shard,
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


def _add_networks(parser: argparse.ArgumentParser) -> None:
    """What the networks are, and where they run."""
    add = parser.add_argument
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


def _add_search(parser: argparse.ArgumentParser) -> None:
    """How vertebrae are searched and segmented."""
    add = parser.add_argument
    add(
        "--tile-overlap",
        type=natural,
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


def _add_program(parser: argparse.ArgumentParser) -> None:
    """What the program takes, says and does beside a run."""
    add = parser.add_argument
    add("--threads", type=positive, metavar="N", help="processor threads (default: all)")
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
