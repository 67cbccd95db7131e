"""The command of ``python -m vertseg.training`` that repeats the published evaluation."""

from __future__ import annotations

import argparse
from pathlib import Path

_MORE = """\
DATA is the VerSe download in any of its forms. Folders in it whose names end in "validation" or
"test" are test sets, all others train. The expected cost is printed first. A stopped run continues
when started again. --scale 0.01 is a rehearsal with a hundredth of the steps. Scores are those of
the published inference; for the usual one run predict.py and python -m vertseg.evaluate --compare.
"""


def add_reproduce_command(commands: argparse._SubParsersAction) -> None:
    """Add ``reproduce`` to a command line."""
    parser = commands.add_parser(
        "reproduce",
        help="tables 1 and 2 of the paper from the VerSe download",
        description=f"Prepare, train three folds, print table 1, train all, print table 2. {_MORE}",
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with VerSe")
    add("--work", type=Path, required=True, help="folder for everything that is written")
    add("--preset", default="paper", help="name, or a JSON file (default: %(default)s)")
    add("--scale", type=float, default=1.0, help="share of the published steps")
    add("--test", type=Path, nargs="+", default=[], metavar="FOLDER", help="test sets")
    add("--augmentation", type=float, default=1.0, help="strength, 0 to 1")
    add("--device", choices=("auto", "gpu", "cpu"), default="auto")
    add("--precision", choices=("auto", "float32", "bfloat16"), default="auto",
        help="auto trains in float32")  # fmt: skip
    add("--threads", type=int, help="CPU threads of predictions; default: all")
    add("--workers", type=int, default=2, help="threads that draw samples")
    parser.set_defaults(run=_reproduce)


def _reproduce(options: argparse.Namespace) -> None:
    from vertseg.training.presets import find_preset
    from vertseg.training.reproduce.plan import Plan
    from vertseg.training.reproduce.run import reproduce

    plan = Plan(
        options.data,
        options.work,
        find_preset(options.preset),
        options.scale,
        tuple(options.test),
        options.augmentation,
        options.device,
        options.precision,
        options.threads,
        options.workers,
    )
    print(reproduce(plan))
