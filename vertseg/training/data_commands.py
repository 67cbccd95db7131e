"""The commands of ``python -m vertseg.training`` that work on data sets in VerSe or BIDS files."""

from __future__ import annotations

import argparse
from pathlib import Path

_DATA_HELP = "folders with scans, masks and centroid files as in VerSe'19, VerSe'20 or BIDS"


def add_data_commands(commands: argparse._SubParsersAction) -> None:
    """Add ``prepare``, ``crossvalidate`` and ``pseudolabel`` to a command line."""
    prepare = _command(
        commands,
        "prepare",
        "check data sets and write them as a pool of arrays that training reads",
        "The pool's real/report.json lists what was refused and why. A participants.tsv with a "
        "column 'patient' in a data folder, or --same-patient, says which subjects are one person.",
    )
    prepare.add_argument("--to", type=Path, required=True, metavar="POOL", help="folder to write")
    prepare.add_argument("--preset", default="default", help="preset whose grids are used")
    prepare.add_argument("--folds", type=int, default=3, help="number of folds; default: 3")
    prepare.add_argument("--same-patient", action="append", default=[], metavar="NAME,NAME",
                         help="cases or subjects of one patient; may be repeated")  # fmt: skip
    prepare.add_argument("--atlas", type=Path, help="also pack the atlas of this folder")
    prepare.set_defaults(run=_prepare)
    cross = _command(
        commands,
        "crossvalidate",
        "score each stage, fed with the ground truth (Payer et al., table 1)",
        "For the whole chain, use python -m vertseg.evaluate.",
    )
    cross.add_argument("--weights", type=Path,
                       help="folder of weights, or of fold0, fold1 ... (with --pool)")  # fmt: skip
    cross.add_argument(
        "--pool", type=Path, help="prepared pool that says which case is in which fold"
    )
    cross.add_argument("--published", action="store_true",
                       help="use the published inference, like predict.py --published")  # fmt: skip
    cross.add_argument("--to", type=Path, help="folder for text, Markdown and CSV")
    _add_device(cross)
    cross.set_defaults(run=_crossvalidate)
    pseudo = _command(
        commands,
        "pseudolabel",
        "make masks for scans that have only points",
        "Look at every picture before you train on the masks.",
    )
    pseudo.add_argument("--to", type=Path, required=True, help="folder for masks and pictures")
    pseudo.add_argument("--weights", type=Path, help="default: the bundled ones")
    _add_device(pseudo)
    pseudo.set_defaults(run=_pseudolabel)


def _command(
    commands: argparse._SubParsersAction, name: str, what: str, more: str
) -> argparse.ArgumentParser:
    described = f"{what[0].upper()}{what[1:]}. {more}"
    parser = commands.add_parser(name, help=what, description=described)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help=_DATA_HELP)
    parser.add_argument("--only", metavar="PATTERN", help="only cases whose name matches")
    return parser


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", choices=("auto", "gpu", "cpu"), default="auto")
    parser.add_argument("--threads", type=int, help="CPU threads; default: all")


def _prepare(options: argparse.Namespace) -> None:
    from vertseg.training.data.prepare import PrepareConfig, prepare, report_in_words
    from vertseg.training.factory.atlas import pack_atlas
    from vertseg.training.presets import find_preset

    aliases = tuple(tuple(names.split(",")) for names in options.same_patient)
    config = PrepareConfig(folds=options.folds, aliases=aliases, only=options.only)
    report = prepare(options.data, options.to, find_preset(options.preset), config)
    if options.atlas:
        pack_atlas(options.atlas, options.to)
    print(report_in_words(report))


def _crossvalidate(options: argparse.Namespace) -> None:
    from vertseg.stages.device import choose_device
    from vertseg.training.data.dataset import find_data_cases
    from vertseg.training.data.real_pool import fold_of_cases
    from vertseg.training.validate.crossvalidate import crossvalidate, group_by_weights
    from vertseg.training.validate.tables import tables, write_tables

    cases = find_data_cases(options.data, options.only)
    folds = fold_of_cases(options.pool) if options.pool else None
    groups = group_by_weights(cases, options.weights, folds)
    device = choose_device(options.device, threads=options.threads)
    scores = crossvalidate(groups, device, options.published)
    if options.to:
        write_tables(scores, options.to)
    print(tables(scores)["scores.txt"], end="")


def _pseudolabel(options: argparse.Namespace) -> None:
    from vertseg.stages.device import choose_device
    from vertseg.stages.network import StageNetwork
    from vertseg.stages.weights import load_weights
    from vertseg.training.pseudolabel.run import pseudolabel

    device = choose_device(options.device, threads=options.threads)
    network = StageNetwork(load_weights(options.weights), "segmentation", device)
    report = pseudolabel(options.data, options.to, network, options.only)
    kept = sum(row["kept"] for case in report["cases"] for row in case["vertebrae"])
    total = sum(len(case["vertebrae"]) for case in report["cases"])
    print(f"{kept} of {total} vertebrae in {len(report['cases'])} scans are kept: {options.to}")
