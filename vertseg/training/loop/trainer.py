"""A network with its data synthesis and its loss in one graph, on either backend."""

from __future__ import annotations

import keras
from keras import ops

from models import Preset, activate, build_network
from models.scnet import TISSUE_HEAD
from vertseg.labels import label_of
from vertseg.training.loop import losses
from vertseg.training.loop.methods import Method, method_for
from vertseg.training.recipe import Recipe
from vertseg.training.sample.targets import (
    heatmap_sample,
    segmentation_sample,
    spine_sample,
    vertebrae_sample,
)

_SHIFT_SHARE = 0.3
"""Of each vertebra's evidence, in the level of all of them."""


class StageTrainer(keras.Model):
    """Takes a batch of draws (see `draws.py`); makes images and targets and returns the loss.

    The losses are those of the preset's activations; a stage with the activation ``linear`` learns
    its heatmaps by their squared error, as published.

    Args:
        preset: the networks' preset.
        recipe: what the samples look like.
        method: how it is trained; that of the preset if None.
    """

    def __init__(self, preset: Preset, recipe: Recipe, method: Method | None = None) -> None:
        super().__init__(dtype="float32", name=f"{recipe.stage}_trainer")
        self.recipe = recipe
        self.method = method or method_for(preset.name, recipe.stage)
        self.network = build_network(preset, recipe.stage, recipe.size)
        kind = recipe.stage
        if kind != "segmentation" and recipe.config.activation == "linear":
            kind = "heatmaps"
        self._sample, self._loss = {
            "spine": (spine_sample, self._spine),
            "vertebrae": (vertebrae_sample, self._vertebrae),
            "heatmaps": (heatmap_sample, self._heatmaps),
            "segmentation": (segmentation_sample, self._segmentation),
        }[kind]
        outputs = [self.network.output]
        if kind == "vertebrae":
            if recipe.config.network.tissues:
                outputs.append(self.network.get_layer(TISSUE_HEAD).output)
            labels = recipe.config.labels
            self._chain = [k for k, label in enumerate(labels) if label != label_of("T13")]
        self._seen = keras.Model(self.network.input, outputs)
        self.sigmas = None
        if kind == "heatmaps" and self.method.sigma_decay:
            start = keras.initializers.Constant(recipe.config.sigma_px)
            count = recipe.config.network.outputs
            self.sigmas = self.add_weight(shape=(count,), initializer=start, name="sigmas")
        self.built = True

    def samples(self, draws):
        """Images and targets by name, with a leading batch axis like that of `draws`."""
        made = _each(self._sample, draws)
        return {name: ops.stop_gradient(value) for name, value in made.items()}

    def call(self, draws, training: bool = False):
        """The scalar loss of a batch of draws, each array of which has a leading batch axis."""
        samples = self.samples(draws)
        outputs = self._seen(samples["image"], training=training)
        asked = {name: value for name, value in samples.items() if name != "image"}
        asked["outputs"] = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
        return ops.mean(_each(self._loss, asked)) + self._regularisation()

    def look(self, draws):
        """Loss, images, targets and maps (batch, X, Y, Z) of a batch of draws, to be looked at."""
        samples = self.samples(draws)
        maps = activate(self.network(samples["image"], training=False), self.recipe.config)
        target = samples.get("target")
        if target is None:
            gaussians = ops.exp(-0.5 * samples["squares"] / self.recipe.config.sigma_px**2)
            target = ops.max(gaussians * samples["seen"][:, None, None, None], axis=-1)
        return self(draws), samples["image"][..., 0], target, ops.max(maps, axis=-1)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss is what `call` returns."""
        return y_pred

    def _regularisation(self):
        """Squared norms of kernels and of learned sigmas (paper, eq. 1)."""
        total = 0.0
        if self.method.weight_decay:
            kernels = [v for v in self.network.trainable_variables if v.name == "kernel"]
            total += self.method.weight_decay * sum(ops.sum(k * k) for k in kernels)
        if self.sigmas is not None:
            total += self.method.sigma_decay * ops.sum(self.sigmas * self.sigmas)
        return total

    def _heatmaps(self, asked):
        """Squared error of one map per landmark, or of one map of all of them."""
        output, squares = asked["outputs"][0], asked["squares"]
        if self.sigmas is not None:
            scale = self.method.target_scale
            target = losses.landmark_heatmaps(squares, self.sigmas, scale) * asked["seen"]
            return losses.squared_error(output, target, asked["known"])
        gaussians = ops.exp(-0.5 * squares / self.recipe.config.sigma_px**2)
        target, known = gaussians * asked["seen"], asked["known"]
        if output.shape[-1] == 1:
            target = ops.max(target, axis=-1, keepdims=True)
            known = 1.0 - ops.max(gaussians * (1.0 - known), axis=-1, keepdims=True)
        known = known[..., : output.shape[-1]]
        return losses.l2_heatmap_loss((known * output)[None], (known * target)[None])

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
        if not self.method.overlap:
            return losses.sigmoid_crossentropy(logits, target)
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
