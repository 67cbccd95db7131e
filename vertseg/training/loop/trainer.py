"""A network with its data synthesis and its loss in one graph, on either backend."""

from __future__ import annotations

import math

import keras
from keras import ops

from models import Preset, activate, build_network
from models.scnet import TISSUE_HEAD
from vertseg.errors import ConfigurationError
from vertseg.labels import label_of
from vertseg.training.loop import losses
from vertseg.training.loop.methods import Method
from vertseg.training.recipe import Recipe
from vertseg.training.sample.appearance import NoiseOnDevice
from vertseg.training.sample.targets import (
    segmentation_sample,
    spine_sample,
    vertebrae_sample,
)

_SHIFT_SHARE = 0.3
"""Of each vertebra's evidence, in the level of all of them."""


class StageTrainer(keras.Model):
    """Takes a batch of draws (see `draws.py`); makes images and targets and returns the loss.

    Stages whose maps are linear are trained as published, see `vertseg.training.loop.published`.

    Args:
        preset: the networks' preset.
        recipe: what the samples look like.

    Raises:
        ConfigurationError: the stage's maps are linear.
    """

    def __init__(self, preset: Preset, recipe: Recipe) -> None:
        kind = recipe.stage
        if recipe.config.activation == "linear":
            remedy = "Give the stage the entry published, or another activation."
            raise ConfigurationError("learns linear maps", f"{kind} stage", remedy=remedy)
        super().__init__(dtype="float32", name=f"{kind}_trainer")
        self.recipe = recipe
        self.method = Method()
        self.network = build_network(preset, kind, recipe.size)
        self._sample, self._loss = {
            "spine": (spine_sample, self._spine),
            "vertebrae": (vertebrae_sample, self._vertebrae),
            "segmentation": (segmentation_sample, self._segmentation),
        }[kind]
        outputs = [self.network.output]
        if kind == "vertebrae":
            if recipe.config.network.tissues:
                outputs.append(self.network.get_layer(TISSUE_HEAD).output)
            labels = recipe.config.labels
            self._chain = [k for k, label in enumerate(labels) if label != label_of("T13")]
        self._seen = keras.Model(self.network.input, outputs)
        values = NoiseOnDevice(recipe.source_size).values
        self._noise = self.add_weight(
            shape=values.shape,
            initializer=lambda shape, dtype=None: ops.convert_to_tensor(values),
            dtype="float16",
            autocast=False,
            trainable=False,
            name="noise",
        )
        self.built = True

    def samples(self, draws):
        """Images and targets by name, with a leading batch axis like that of `draws`."""
        made = _each(self._sample_of, draws)
        return {name: ops.stop_gradient(value) for name, value in made.items()}

    def _sample_of(self, draw):
        """The sample of one draw, which may leave the noise to this side."""
        starts = draw["noise"]
        if len(starts.shape) == 1:
            size = self.recipe.source_size
            count, noise = (math.prod(size),), ops.convert_to_tensor(self._noise)
            windows = [ops.slice(noise, starts[i : i + 1], count) for i in (0, 1)]
            draw = {**draw, "noise": ops.reshape(ops.stack(windows), (2, *size))}
        return self._sample(draw)

    def call(self, draws, training: bool = False):
        """The scalar loss of a batch of draws, each array of which has a leading batch axis."""
        samples = self.samples(draws)
        outputs = self._seen(samples["image"], training=training)
        asked = {name: value for name, value in samples.items() if name != "image"}
        asked["outputs"] = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
        return ops.mean(_each(self._loss, asked))

    def look(self, draws):
        """Loss, images, targets and maps (batch, X, Y, Z) of a batch of draws, for inspection."""
        samples = self.samples(draws)
        maps = activate(self.network(samples["image"], training=False), self.recipe.config)
        return self(draws), samples["image"][..., 0], samples["target"], ops.max(maps, axis=-1)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss is what `call` returns."""
        return y_pred

    def _vertebrae(self, asked):
        """Place, label, level of the whole chain, and tissue where it is known.

        Vertebrae are told from discs, and ribs and sacrum from both: the finest features then show
        where one vertebra ends and what stands beside it, which centres and labels alone teach
        very slowly.
        """
        output, *tissue_logits = asked["outputs"]
        loss = losses.heatmap_crossentropy(output[..., 0], asked["target"], asked["weight"])
        maps = ops.reshape(output[..., 1:], (-1, output.shape[-1] - 1))
        maps = ops.take(maps, asked["around"], axis=0)
        loss += losses.label_crossentropy(maps, asked["known"])
        loss += losses.shift_crossentropy(maps, asked["known"], self._chain, _SHIFT_SHARE)
        for logits in tissue_logits:
            loss += losses.balanced_crossentropy(logits, asked["tissues"])
        return loss

    def _spine(self, asked):
        logits = asked["outputs"][0][..., 0]
        return 50.0 * losses.sigmoid_crossentropy(logits, asked["target"], asked["weight"])

    def _segmentation(self, asked):
        logits, target = asked["outputs"][0][..., 0], asked["target"]
        overlap = losses.soft_dice_loss(logits, target)
        return overlap + 10.0 * losses.sigmoid_crossentropy(logits, target)


def _each(function, batch):
    """`function` of each element of a batch of nested arrays, results stacked.

    JAX does all elements at once; TensorFlow, which here mostly runs on a CPU, one after another,
    so that each takes only its own branch of a condition. A batch of one is not worth either.
    """
    if keras.tree.flatten(batch)[0].shape[0] == 1:
        only = function(keras.tree.map_structure(lambda v: v[0], batch))
        return keras.tree.map_structure(lambda v: v[None], only)
    apply = ops.vectorized_map if keras.backend.backend() == "jax" else ops.map
    return apply(function, batch)
