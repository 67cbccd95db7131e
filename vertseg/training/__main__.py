"""``python -m vertseg.training``: prepare data, train the stages, score and export weights."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from vertseg.errors import VertsegError
from vertseg.training.data_commands import add_data_commands


def main(words: Sequence[str] | None = None) -> None:
    """Parse the command line and run it; trouble ends it with the exit code of its kind."""
    parser = argparse.ArgumentParser(prog="python -m vertseg.training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train one stage, going on from its checkpoint")
    train.add_argument("stage", choices=("spine", "vertebrae", "segmentation"))
    train.add_argument("--data", type=Path, required=True, help="folder with atlas/ and courses")
    train.add_argument("--runs", type=Path, default=Path("runs"), help="checkpoints and curves")
    train.add_argument("--pool", type=Path, help="folder with phantoms and prepared cases")
    train.add_argument("--fold", type=int, help="leave out this fold of the prepared cases")
    train.add_argument("--preset", default="default")
    train.add_argument("--minutes", type=float, default=9.0)
    train.add_argument("--steps", type=int, default=10**9)
    train.add_argument("--rate", type=float, default=5e-4)
    train.add_argument("--final-rate", type=float, default=0.02)
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--workers", type=int, default=1)
    train.add_argument("--threads", type=int, default=0, help="CPU threads; 0: all")
    train.add_argument("--precision", default="mixed_bfloat16")
    train.set_defaults(run=_train)
    phantoms = commands.add_parser("phantoms", help="a pool of parametric phantoms for one stage")
    phantoms.add_argument("stage", choices=("vertebrae", "segmentation"))
    phantoms.add_argument("--pool", type=Path, default=Path("pool"))
    phantoms.add_argument("--count", type=int, default=40)
    phantoms.add_argument("--preset", default="default")
    phantoms.set_defaults(run=_phantoms)
    cases = commands.add_parser("cases", help="synthetic scans of courses that are held back")
    cases.add_argument("--data", type=Path, required=True, help="folder with atlas/ and courses")
    cases.add_argument("--to", type=Path, required=True)
    cases.add_argument("--count", type=int, default=60)
    cases.set_defaults(run=_cases)
    check = commands.add_parser("validate", help="scores of weights on what trained nothing")
    check.add_argument("--data", type=Path, required=True, help="folder with atlas/, ct/, courses")
    check.add_argument("--work", type=Path, required=True, help="folder for scans and predictions")
    check.add_argument("--weights", type=Path, help="default: the bundled ones")
    check.add_argument("--count", type=int, default=60, help="factory cases")
    check.set_defaults(run=_validate)
    add_data_commands(commands)
    export = commands.add_parser("export", help="weights and manifest of the three trained stages")
    export.add_argument("--runs", type=Path, default=Path("runs"))
    export.add_argument("--to", type=Path, default=Path("weights"))
    export.add_argument("--name", required=True, help="name of this generation of weights")
    export.add_argument("--scores", type=Path, help="JSON with measured scores, for the manifest")
    export.set_defaults(run=_export)
    arguments = parser.parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        arguments.run(arguments)
    except VertsegError as error:
        parser.exit(error.exit_code, f"{error}\n")


def _train(arguments: argparse.Namespace) -> None:
    import keras

    if arguments.threads and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    from models import PRESETS
    from vertseg.training.recipe import recipe_for
    from vertseg.training.sources import Sources
    from vertseg.training.train import TrainConfig, train

    keras.mixed_precision.set_global_policy(arguments.precision)
    keras.utils.set_random_seed(arguments.seed)
    preset = PRESETS[arguments.preset]
    recipe = recipe_for(arguments.stage, getattr(preset, arguments.stage))
    sources = Sources(arguments.data, recipe, arguments.pool, arguments.fold)
    config = TrainConfig(
        minutes=arguments.minutes,
        steps=arguments.steps,
        rate=arguments.rate,
        final_rate=arguments.final_rate,
        seed=arguments.seed,
        workers=arguments.workers,
    )
    train(preset, recipe, sources.draw, arguments.runs, config)


def _phantoms(arguments: argparse.Namespace) -> None:
    from models import PRESETS
    from vertseg.training.phantoms import make_pool
    from vertseg.training.recipe import recipe_for

    config = getattr(PRESETS[arguments.preset], arguments.stage)
    make_pool(recipe_for(arguments.stage, config), arguments.pool, arguments.count)


def _cases(arguments: argparse.Namespace) -> None:
    from vertseg.training.cases import write_cases

    write_cases(arguments.data, arguments.to, arguments.count)


def _validate(arguments: argparse.Namespace) -> None:
    from vertseg.training.validate import validate

    print(validate(arguments.data, arguments.work, arguments.weights, arguments.count))


def _export(arguments: argparse.Namespace) -> None:
    import json

    from vertseg.training.export import export
    from vertseg.training.provenance import provenance

    details = {"name": arguments.name} | provenance()
    if arguments.scores:
        details["scores"] = json.loads(arguments.scores.read_text(encoding="utf-8"))
    logging.info("weights are in %s", export(arguments.runs, arguments.to, details))


if __name__ == "__main__":
    main()
