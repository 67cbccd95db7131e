"""The published training of a stage: its losses in one graph with the network.

Payer et al., VISAPP 2020: equation 1 for the vertebrae stage, and section 4. All squared norms are
as printed there, without a factor of one half.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from models import Preset, build_network
from models.published import PublishedMethod, peak_height
from vertseg.training.loop.losses import sigmoid_crossentropy
from vertseg.training.sample.published import PublishedRecipe


class PublishedTrainer(keras.Model):
    """Takes a batch of samples (see `vertseg.training.sample.published`) and returns the loss.

    Args:
        preset: of the networks.
        recipe: of the stage's samples.

    Attributes:
        network: of the stage.
        method: how it is trained.
        sigmas: learned standard deviations in voxels, one per label; None where they are fixed.
    """

    def __init__(self, preset: Preset, recipe: PublishedRecipe) -> None:
        super().__init__(dtype="float32", name=f"{recipe.stage}_trainer")
        self.recipe = recipe
        self.method: PublishedMethod = recipe.method
        self.network = build_network(preset, recipe.stage, recipe.size)
        self._kernels = [v for v in self.network.trainable_variables if v.name == "kernel"]
        self.sigmas = None
        if self.method.target_mass:
            start = keras.initializers.Constant(recipe.config.sigma_px)
            count = recipe.config.network.outputs
            self.sigmas = self.add_weight(shape=(count,), initializer=start, name="sigmas")
        self.built = True

    def call(self, samples, training: bool = False):
        """The scalar loss of a batch, each array of which has a leading batch axis."""
        outputs = self.network(samples["image"], training=training)
        return self.error(outputs, samples) + self.regularisation()

    def look(self, samples):
        """Loss, images, targets and maps (batch, x, y, z) of a batch, for inspection."""
        outputs = self.network(samples["image"], training=False)
        target = ops.max(self.targets(samples) / self._peaks(), axis=-1)
        maps = outputs / self._peaks() if "landmarks" in samples else ops.sigmoid(outputs)
        loss = self.error(outputs, samples) + self.regularisation()
        return loss, samples["image"][..., 0], target, ops.max(maps, axis=-1)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss is what `call` returns."""
        return y_pred

    def targets(self, samples):
        """What the network's outputs should be (batch, x, y, z, outputs)."""
        if "target" in samples:
            return samples["target"]
        sigmas = self.recipe.config.sigma_px if self.sigmas is None else self.sigmas
        maps = gaussians(samples["landmarks"], self.recipe.size, sigmas)
        maps = maps * samples["seen"][:, None, None, None, :]
        if self.sigmas is None:
            return ops.max(maps, axis=-1, keepdims=True)
        return maps * self._peaks()

    def regularisation(self):
        """Squared norms of kernels and of learned sigmas."""
        total = self.method.weight_decay * sum(ops.sum(k * k) for k in self._kernels)
        if self.sigmas is not None:
            total += self.method.sigma_decay * ops.sum(self.sigmas * self.sigmas)
        return total

    def error(self, outputs, samples):
        """The loss of a batch of outputs without the regularisation."""
        target = self.targets(samples)
        if "target" in samples:
            return sigmoid_crossentropy(outputs, target)
        return ops.mean(ops.sum((outputs - target) ** 2, axis=(1, 2, 3, 4)))

    def _peaks(self):
        """Heights of the targets at their landmarks."""
        if self.sigmas is None:
            return 1.0
        return peak_height(self.method.target_mass, ops.convert_to_tensor(self.sigmas))


def gaussians(landmarks, size: tuple[int, int, int], sigmas):
    """Gaussians of height 1 (batch, x, y, z, landmarks).

    Args:
        landmarks: (batch, landmarks, 3) in voxels.
        size: x, y, z.
        sigmas: standard deviations in voxels, one or (landmarks,).
    """
    sigmas, landmarks = ops.convert_to_tensor(sigmas), ops.convert_to_tensor(landmarks)
    along = []
    for axis, n in enumerate(size):
        away = np.arange(n, dtype=np.float32)[:, None] - landmarks[:, None, :, axis]
        along.append(ops.exp(-0.5 * (away / sigmas) ** 2))
    return ops.einsum("bxl,byl,bzl->bxyzl", *along)
