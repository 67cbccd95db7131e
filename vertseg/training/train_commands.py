"""The commands of ``python -m vertseg.training`` that train a stage and show its progress."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vertseg.errors import ConfigurationError
from vertseg.stages import Stage
from vertseg.stages.weights import load_weights

if TYPE_CHECKING:
    from models import Preset

_MINUTES = 9.0
"""Of a leg, where the preset knows no last step."""

_TRAIN = """\
Train one stage, continuing from its checkpoint. Ctrl-C and SIGTERM end a leg as its time limit
does: the checkpoint is written first.

On a machine with a GPU and JAX, but without TensorFlow and readers of medical images, train from a
pool made elsewhere: posed bodies packed to 40 MB, phantoms, prepared scans.

    python -m vertseg.training pack vertebrae --data DATA --pool POOL --count 1000
    python -m vertseg.training phantoms vertebrae --pool POOL
    python -m vertseg.training prepare --data DATA/ct --to POOL

    KERAS_BACKEND=jax python -m vertseg.training train vertebrae --pool POOL --from weights \\
        --batch 8 --workers 14 --minutes 9 --validate-every 0 --runs RUN 2>&1 | tail -n 40 >LOG
    tar c RUN | split -b 15M -d - RUN.tar.      # and back again: cat RUN.tar.* | tar x

Without --from it starts from random weights. This needs keras, jax, h5py, numpy, scipy and tqdm.
Where the GPU fails to convolve in bfloat16, float32 is used. Noise, augmentation, network and
optimiser are one compiled step; batches wait on the device. The last column of the curve is the
share of time spent waiting for them: raise --workers, then --batch, until it is small.
"""


def add_train_commands(commands: argparse._SubParsersAction) -> None:
    """Add ``train`` and ``tail`` to a command line."""
    train = commands.add_parser(
        "train",
        help="train one stage, continuing from its checkpoint",
        description=_TRAIN,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    train.add_argument("stage", choices=[stage.value for stage in Stage])
    train.add_argument("--runs", type=Path, default=Path("runs"), help="checkpoints and curves")
    _add_data(train)
    _add_schedule(train)
    train.add_argument("--threads", type=int, default=0, help="CPU threads; 0: all")
    train.add_argument("--precision", default="auto",
                       help="float32, bfloat16, or auto: bfloat16 where the processor has it and "
                       "the preset is not trained as published")  # fmt: skip
    train.set_defaults(run=_train)
    tail = commands.add_parser("tail", help="the last rows of a training curve")
    tail.add_argument("stage", choices=[stage.value for stage in Stage])
    tail.add_argument("--runs", type=Path, default=Path("runs"))
    tail.add_argument("--rows", type=int, default=10)
    tail.set_defaults(run=_tail)


def _add_data(train: argparse.ArgumentParser) -> None:
    train.add_argument(
        "--data", type=Path, help="folder with atlas/ and courses; default: the pool's"
    )
    train.add_argument("--pool", type=Path, help="folder with phantoms and prepared cases")
    train.add_argument("--fold", type=int, help="leave out this fold of the prepared cases")
    train.add_argument("--hold-out", nargs="*", metavar="NAME",
                       help="scans never trained on; default: the validation scans")  # fmt: skip
    train.add_argument(
        "--preset", help="name, or a JSON file; default: that of --from, else default"
    )
    train.add_argument("--from", type=Path, dest="start", metavar="WEIGHTS",
                       help="exported weights that a new run starts from")  # fmt: skip
    train.add_argument("--augmentation", type=float, default=1.0, help="strength, 0 to 1")
    train.add_argument("--reuse", type=int, default=1, metavar="N",
                       help="samples made of each posed body, on average")  # fmt: skip
    train.add_argument(
        "--workers", type=int, default=1, help="processes that draw samples; 1: a thread"
    )
    train.add_argument("--seed", type=int, default=0)


def _add_schedule(train: argparse.ArgumentParser) -> None:
    train.add_argument("--minutes", type=float, help="length of this leg; default: 9; "
                       "presets trained as published: until their last step")  # fmt: skip
    train.add_argument("--steps", type=int, default=10**9, help="end the leg after this many steps")
    train.add_argument("--batch", type=int, default=1, help="samples per step, over all GPUs")
    train.add_argument("--rate", type=float, help="peak learning rate; default: the preset's")
    train.add_argument("--final-rate", type=float, default=0.02)
    train.add_argument("--warmup", type=int, default=100, help="steps")
    train.add_argument("--ema", type=float, default=0.998, help="momentum of averaged weights")
    train.add_argument(
        "--row-every", type=int, default=20, metavar="STEPS", help="steps per row of the curve"
    )
    train.add_argument("--validate-every", type=int, default=2000, metavar="STEPS",
                       help="between looks at held-back samples; 0: never")  # fmt: skip
    train.add_argument("--tensorboard", action="store_true", help="also write TensorBoard's files")


def _train(arguments: argparse.Namespace) -> None:
    import keras

    _limit_threads(arguments.threads)
    from vertseg.training.loop.precision import training_policy
    from vertseg.training.loop.train import TrainConfig, train
    from vertseg.training.presets import find_preset

    weights = load_weights(arguments.start) if arguments.start else None
    if arguments.preset is None and weights is not None:
        preset = weights.preset
    else:
        preset = find_preset(arguments.preset or "default")
    published = getattr(preset, arguments.stage).published
    policy = training_policy(arguments.precision, published is not None)
    keras.mixed_precision.set_global_policy(policy)
    keras.utils.set_random_seed(arguments.seed)
    if arguments.hold_out is not None:
        arguments.hold_out = tuple(arguments.hold_out)
    prepared = _published(preset, arguments) if published else _refined(preset, arguments)
    recipe, draw, held_back = prepared
    fields = TrainConfig.__dataclass_fields__.keys() & vars(arguments).keys()
    given = {name: getattr(arguments, name) for name in fields} | {"precision": policy}
    if published is not None:
        given["until"] = published.steps
    if arguments.minutes is None and published is None:
        given["minutes"] = _MINUTES
    given["held_out"] = _left_out(arguments)
    train(preset, recipe, draw, arguments.runs, TrainConfig(**given), held_back, weights)


def _refined(preset: Preset, arguments: argparse.Namespace) -> tuple[Any, Any, Any]:
    """Recipe, samples and samples held back of the project's own training."""
    from vertseg.training.loop.workers import Portable
    from vertseg.training.recipe import recipe_for, recipes_for
    from vertseg.training.sources import SourceGrids, make_draw

    stage = getattr(preset, arguments.stage)
    how = (arguments.stage, stage, arguments.augmentation)
    where = (arguments.data, recipes_for(*how), arguments.pool, arguments.fold)
    make = partial(make_draw, *where, hold_out=arguments.hold_out, reuse=arguments.reuse)
    draw = Portable(make) if arguments.workers > 1 else make()
    held_back = None
    if arguments.validate_every:
        held_back = SourceGrids(*where, held_back=True).draw
    return recipe_for(*how), draw, held_back


def _published(preset: Preset, arguments: argparse.Namespace) -> tuple[Any, Any, Any]:
    """Recipe, samples and samples held back of the published training."""
    from vertseg.training.sample.published import PublishedRecipe, PublishedSources

    if arguments.pool is None or arguments.data is not None:
        raise ConfigurationError(
            "is trained on prepared scans only",
            f"preset {preset.name}",
            "--pool, and no --data",
            f"Make the pool with: python -m vertseg.training prepare --preset {preset.name}.",
        )
    stage = getattr(preset, arguments.stage)
    recipe = PublishedRecipe(arguments.stage, stage, arguments.augmentation)
    where = (recipe, arguments.pool, arguments.fold)
    hold_out = arguments.hold_out or ()
    held_back = None
    if arguments.validate_every and arguments.fold is not None:
        held_back = PublishedSources(*where, held_back=True, hold_out=hold_out).draw
    return recipe, PublishedSources(*where, hold_out=hold_out).draw, held_back


def _left_out(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Names of the given cases that are left out of training."""
    from vertseg.training.data.real import HELD_OUT, HELD_OUT_MASKS
    from vertseg.training.data.real_pool import fold_of_cases, is_real_pool

    usual = HELD_OUT_MASKS if arguments.stage == Stage.SEGMENTATION else HELD_OUT
    hold_out = usual if arguments.hold_out is None else arguments.hold_out
    folds: dict[str, int | None] = {}
    if arguments.data:
        scans = arguments.data.glob("ct/rawdata/sub-*")
        folds = dict.fromkeys(path.name.removeprefix("sub-") for path in scans)
    if arguments.pool and is_real_pool(arguments.pool):
        folds |= fold_of_cases(arguments.pool)
    fold = arguments.fold
    return tuple(n for n, f in folds.items() if n in hold_out or (fold is not None and f == fold))


def _limit_threads(threads: int) -> None:
    import keras

    if threads and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)


def _tail(arguments: argparse.Namespace) -> None:
    from vertseg.training.loop.curve import tail

    print(tail(arguments.runs, arguments.stage, arguments.rows))
