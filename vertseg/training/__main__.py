"""``python -m vertseg.training``: train a stage."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path


def main() -> None:
    """Parse the command line and run it."""
    parser = argparse.ArgumentParser(prog="python -m vertseg.training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train one stage, going on from its checkpoint")
    train.add_argument("stage", choices=("spine", "vertebrae", "segmentation"))
    train.add_argument("--data", type=Path, required=True, help="folder with atlas/ and courses")
    train.add_argument("--runs", type=Path, default=Path("runs"), help="checkpoints and curves")
    train.add_argument("--preset", default="default")
    train.add_argument("--minutes", type=float, default=9.0)
    train.add_argument("--steps", type=int, default=10**9)
    train.add_argument("--rate", type=float, default=5e-4)
    train.add_argument("--final-rate", type=float, default=0.02)
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--workers", type=int, default=1)
    train.add_argument("--threads", type=int, default=0, help="CPU threads; 0: all")
    train.add_argument("--precision", default="mixed_bfloat16")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    _train(arguments)


def _train(arguments: argparse.Namespace) -> None:
    import keras

    if arguments.threads and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    from models import PRESETS
    from vertseg.training.draws import recipe_for
    from vertseg.training.sources import Sources
    from vertseg.training.train import TrainConfig, train

    keras.mixed_precision.set_global_policy(arguments.precision)
    keras.utils.set_random_seed(arguments.seed)
    preset = PRESETS[arguments.preset]
    recipe = recipe_for(arguments.stage, getattr(preset, arguments.stage))
    sources = Sources(arguments.data, recipe)
    config = TrainConfig(
        minutes=arguments.minutes,
        steps=arguments.steps,
        rate=arguments.rate,
        final_rate=arguments.final_rate,
        seed=arguments.seed,
        workers=arguments.workers,
    )
    train(preset, recipe, sources.draw, arguments.runs, config)


if __name__ == "__main__":
    main()
