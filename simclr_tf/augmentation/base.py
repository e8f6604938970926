"""What the augmentation layers share: where an image's random numbers come from."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from simclr_tf import compat, stateless
from simclr_tf.augmentation.separable import from_lines, to_lines

Transformations = dict[str, tf.Tensor]

IMAGES = "images"
SEEDS = "seeds"
_LOCATED = ("bounding_boxes", "keypoints", "segmentation_masks")


_Base: Any = compat.keras_cv().layers.VectorizedBaseImageAugmentationLayer


class StatelessAugmentationLayer(_Base):
    """A keras-cv layer whose randomness is a function of one seed an image.

    Takes a tensor of images, `[batch, H, W, C]` or `[H, W, C]` of any numeric type, or a
    dictionary: `images`, and optionally `seeds` (int32 `[batch, 2]`, or `[2]` beside a single
    image), `labels` and anything else, which pass unchanged. The images come out as `dtype`.
    Without `seeds` the layer draws some from its keras-cv random generator.

    keras-cv hands no seeds to `get_random_transformation_batch`, converts labels to floats and
    takes `seed=0` for no seed; this class corrects all three.

    A subclass has a `word` for what it does, a `salt` (a number of its own) and `draws`, how many
    random numbers an image needs; it implements `transformations_from` and `augment_lines`.

    Args:
      seed: seeds the generator. Where the input carries seeds, it tells two layers of one class
        apart: different `seed`s give independent numbers, the same give equal ones.
      **kwargs: for keras-cv's base layer. `dtype`, of the output, is float32 unless given,
        whatever the global policy says: eight bits of bfloat16 are too few to compute with.
    """

    word: str
    salt: int
    draws: int
    moves_pixels = False

    def __init__(self, *, seed: int | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.seed = seed
        if seed is not None:
            self._random_generator = tf.random.Generator.from_seed(seed)
        self._stream = zlib.crc32(f"{self.salt}/{seed}".encode()) >> 1

    def transformations_from(
        self, uniforms: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor
    ) -> Transformations:
        """Turns an image's numbers into the parameters of its transformation.

        Args:
          uniforms: float32 `[batch, draws]` in [0, 1).
          height: of the images, in pixels.
          width: of the images, in pixels.

        Returns:
          The parameters by name, each `[batch, ...]`.
        """
        raise NotImplementedError

    def draw(
        self, seeds: tf.Tensor, height: int | tf.Tensor = 0, width: int | tf.Tensor = 0
    ) -> Transformations:
        """Draws the parameters of images, a function of their seeds; see `transformations_from`.

        Args:
          seeds: int32 `[batch, 2]`.
          height: of the images, in pixels; only crops ask for it.
          width: of the images, in pixels.
        """
        return self.transformations_from(
            stateless.uniform(seeds, self._stream, self.draws), height, width
        )

    def get_random_transformation_batch(
        self,
        batch_size: int | tf.Tensor,
        images: tf.Tensor,
        seeds: tf.Tensor | None = None,
        **unused: Any,
    ) -> Transformations:
        """What keras-cv calls to draw every image's parameters; see `draw`."""
        del unused
        if seeds is None:
            seeds = self._random_generator.uniform_full_int([batch_size, 2], dtype=tf.int32)
        return self.draw(seeds, length(images, 1), length(images, 2))

    def _batch_augment(self, inputs: dict[str, Any]) -> dict[str, Any]:
        images = inputs[IMAGES]
        if isinstance(images, tf.RaggedTensor):
            raise ValueError(
                f"{type(self).__name__} takes images of one size; crop or resize them first"
            )
        located = [key for key in _LOCATED if key in inputs]
        if located and self.moves_pixels:
            raise NotImplementedError(f"{type(self).__name__} moves pixels, but not {located}")
        transformations = self.get_random_transformation_batch(
            tf.shape(images)[0], images=images, seeds=inputs.get(SEEDS)
        )
        augmented = self.augment_images(images, transformations)
        return {**inputs, IMAGES: tf.cast(augmented, self.compute_dtype)}

    def augment_images(
        self, images: tf.Tensor, transformations: Transformations, **unused: Any
    ) -> tf.Tensor:
        """Changes images, float32 `[batch, H, W, C]`, by their parameters."""
        del unused
        return from_lines(self.augment_lines(to_lines(images), transformations))

    def augment_lines(self, lines: tf.Tensor, transformations: Transformations) -> tf.Tensor:
        """Does the same to float32 `[batch, H, C, W]`; see `simclr_tf.augmentation.separable`."""
        raise NotImplementedError

    def _ensure_inputs_are_compute_dtype(self, inputs: Any) -> Any:
        if not isinstance(inputs, dict):
            return tf.cast(inputs, tf.float32)
        return {**inputs, IMAGES: tf.cast(inputs[IMAGES], tf.float32)}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


def check_probability(probability: float) -> float:
    """Returns the probability, or raises ValueError if it is not one."""
    if not 0 <= probability <= 1:
        raise ValueError(f"probability must lie in [0, 1], got {probability}")
    return float(probability)


def check_range(name: str, bounds: tuple[float, float]) -> tuple[float, float]:
    """Returns two ordered numbers, or raises ValueError naming the argument."""
    low, high = (float(bound) for bound in bounds)
    if low > high:
        raise ValueError(f"{name} must be (low, high), got {(low, high)}")
    return low, high


def check_value_range(value_range: tuple[float, float]) -> tuple[float, float]:
    """Returns the two ends of the range of pixel values, or raises ValueError if it is empty."""
    low, high = check_range("value_range", value_range)
    if low == high:
        raise ValueError(f"value_range must not be empty, got {(low, high)}")
    return low, high


def check_rgb(lines: tf.Tensor) -> None:
    """Raises ValueError unless `lines`, `[batch, H, C, W]`, have three channels."""
    if lines.shape[2] != 3:
        raise ValueError(f"expected RGB images of 3 channels, got {lines.shape[2]}")


def scaled(uniform: tf.Tensor, bounds: tuple[float, float]) -> tf.Tensor:
    """Stretches numbers in [0, 1) to [low, high)."""
    low, high = bounds
    return low + uniform * (high - low)


def switch(apply: tf.Tensor, changed: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    """Takes an image from `changed` where `apply`, bool `[batch]`, is true, else from `images`."""
    # Select copies whole images; tf.where broadcasts the condition to pixels, ten times slower.
    return tf.raw_ops.Select(condition=apply, x=changed, y=images)


def where_any(apply: tf.Tensor, change: Callable[[], tf.Tensor], lines: tf.Tensor) -> tf.Tensor:
    """Returns `change()` if any of `apply`, bool `[batch]`, is true, else saves itself the work."""
    return tf.cond(tf.reduce_any(apply), change, lambda: lines)


def change_where(apply: tf.Tensor, change: Callable[[], tf.Tensor], lines: tf.Tensor) -> tf.Tensor:
    """Takes an image from `change()` where `apply`, bool `[batch]`, is true, else from `lines`."""
    if apply.shape[0] == 1:  # any is all
        return where_any(apply, change, lines)
    return where_any(apply, lambda: switch(apply, change(), lines), lines)


def length(images: tf.Tensor, axis: int) -> int | tf.Tensor:
    """Returns the length of an axis: a number where it is known when tracing, else a tensor."""
    static = images.shape[axis]
    return tf.shape(images)[axis] if static is None else static
