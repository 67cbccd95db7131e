"""The commands of ``python -m vertseg.training`` that score weights on data that trained none."""

from __future__ import annotations

import argparse
from pathlib import Path

_MASKS = """\
Scores of masks alone, segmented from the true centroids of scans with masks: by region, level,
slice thickness and metal. Quick, and nothing is written, so that weights can be compared:

    python -m vertseg.training cases --data DATA --to WORK/factory
    python -m vertseg.training cases --data DATA --to WORK/thick --count 20 --thick
    python -m vertseg.training masks --scans WORK/factory WORK/thick --weights WEIGHTS
"""


def add_validate_commands(commands: argparse._SubParsersAction) -> None:
    """Add ``cases``, ``validate``, ``parts``, ``names`` and ``masks`` to a command line."""
    cases = commands.add_parser("cases", help="write synthetic scans of held-out spine courses")
    cases.add_argument("--data", type=Path, required=True, help="folder with atlas/ and courses")
    cases.add_argument("--to", type=Path, required=True)
    cases.add_argument("--count", type=int, default=60)
    cases.add_argument("--seed", type=int, help="for other scans than those that are scored")
    kind = cases.add_mutually_exclusive_group()
    kind.add_argument("--extreme", action="store_true",
                      help="with extremes of posture, C2 and twelfth ribs")  # fmt: skip
    kind.add_argument("--thick", action="store_true",
                      help="in slices of 3 and 5 mm, half of them necks")  # fmt: skip
    cases.set_defaults(run=_cases)
    check = commands.add_parser("validate", help="score weights on data that trained nothing")
    check.add_argument("--data", type=Path, required=True, help="folder with atlas/, ct/, courses")
    check.add_argument("--work", type=Path, required=True, help="folder for scans and predictions")
    _add_weights(check)
    check.add_argument("--count", type=int, default=60, help="number of synthetic scans")
    check.add_argument("--folds", type=Path, metavar="FOLDER",
                       help="folder of weights, each for scans it has not seen")  # fmt: skip
    check.set_defaults(run=_validate)
    parts = commands.add_parser("parts", help="scores of weights on windows of six vertebrae")
    parts.add_argument("--scans", type=Path, required=True, help="folder of scans with points")
    parts.add_argument("--work", type=Path, required=True, help="folder for parts and predictions")
    _add_weights(parts)
    parts.add_argument("--only", nargs="+", metavar="NAME", help="scans to take, without sub-")
    parts.set_defaults(run=_parts)
    names = commands.add_parser("names", help="scores of names alone, of scans with points")
    names.add_argument("--scans", type=Path, required=True, help="folder of scans with points")
    names.add_argument("--work", type=Path, required=True, help="folder for predictions")
    of = names.add_mutually_exclusive_group()
    _add_weights(of)
    of.add_argument("--folds", type=Path, metavar="FOLDER",
                    help="folder of weights, each for scans it has not seen")  # fmt: skip
    names.add_argument("--numbering", choices=("auto", "usual", "any"), default="auto",
                       help="how numbering variants are treated")  # fmt: skip
    names.set_defaults(run=_names)
    masks = commands.add_parser(
        "masks",
        help="scores of masks from true centroids",
        description=_MASKS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    masks.add_argument("--scans", type=Path, nargs="+", required=True, metavar="FOLDER",
                       help="folders of scans with masks")  # fmt: skip
    _add_weights(masks)
    masks.add_argument("--only", nargs="+", metavar="PATTERN",
                       help="scans to take, without sub-, such as factory00*")  # fmt: skip
    masks.add_argument("--device", choices=("auto", "gpu", "cpu"), default="auto")
    masks.add_argument("--threads", type=int, help="CPU threads; default: all")
    masks.set_defaults(run=_masks)


def _add_weights(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--weights", type=Path, help="default: the bundled ones")


def _cases(arguments: argparse.Namespace) -> None:
    from dataclasses import replace

    from vertseg.training.validate.cases import EXTREME, FACTORY, THICK, write_cases

    which = EXTREME if arguments.extreme else THICK if arguments.thick else FACTORY
    if arguments.seed is not None:
        which = replace(which, seed=arguments.seed)
    write_cases(arguments.data, arguments.to, arguments.count, which)


def _validate(arguments: argparse.Namespace) -> None:
    from vertseg.evaluate.phantom_parts import parts_table
    from vertseg.training.validate.run import validate

    a = arguments
    print(validate(a.data, a.work, a.weights, a.count, a.folds))
    print(f"\n## parts of phantoms, from true masks\n\n{parts_table()}")


def _names(arguments: argparse.Namespace) -> None:
    from vertseg.training.validate.run import validate_names

    a = arguments
    print(validate_names(a.scans, a.work, a.weights, a.numbering, a.folds))


def _parts(arguments: argparse.Namespace) -> None:
    from vertseg.training.validate.run import validate_parts

    print(validate_parts(arguments.scans, arguments.work, arguments.weights, arguments.only))


def _masks(arguments: argparse.Namespace) -> None:
    from vertseg.stages import Stage
    from vertseg.stages.at_once import crops_at_once
    from vertseg.stages.device import choose_device
    from vertseg.stages.network import StageNetwork
    from vertseg.stages.weights import load_weights
    from vertseg.training.validate.mask_scores import score_from_truth
    from vertseg.training.validate.mask_tables import mask_tables

    device = choose_device(arguments.device, threads=arguments.threads)
    network = StageNetwork(load_weights(arguments.weights), Stage.SEGMENTATION, device)
    at_once = crops_at_once(network.crop_bytes, device.kind, device.backend)
    print(mask_tables(score_from_truth(arguments.scans, network, at_once, arguments.only)))
