"""The one place that assembles augmentations into what a model is trained on."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from simclr_tf.augmentation import base
from simclr_tf.augmentation.random_color_jitter import RandomColorJitter
from simclr_tf.augmentation.random_gaussian_blur import RandomGaussianBlur
from simclr_tf.augmentation.random_grayscale import RandomGrayscale
from simclr_tf.augmentation.views import Views
from simclr_tf.bounds import COLOR_JITTER_STRENGTH, MIN_CROP_AREA, check_argument


@tf.keras.utils.register_keras_serializable(package="simclr_tf")
class SimCLRViews(Views):
    """Makes an image's two views (SimCLR, section 2.1 and appendix A).

    In the paper's order: crop and flip, color jitter, grayscale, blur.

    Args:
      image_size: height and width of a view, in pixels.
      min_crop_area: the smallest share of an image that a view shows: the paper's 0.08, or some 0.2
        as is usual for CIFAR.
      color_jitter_strength: 0 to 2.5: 1 for ImageNet, 0.5 for CIFAR. 0 drops jitter and
        grayscale both, as in the authors' code.
      use_blur: whether to blur half of the views. The paper does for ImageNet, not for CIFAR.
      value_range: smallest and largest pixel value of the input.

    Raises:
      ValueError: if a size, the strength or the range cannot be.
    """

    def __init__(
        self,
        image_size: int,
        *,
        min_crop_area: float = 0.08,
        color_jitter_strength: float = 1.0,
        use_blur: bool = True,
        value_range: tuple[float, float] = (0, 255),
    ) -> None:
        strength = float(color_jitter_strength)
        if not COLOR_JITTER_STRENGTH.allows(strength):
            raise ValueError(
                f"color_jitter_strength must be {COLOR_JITTER_STRENGTH}, got {strength:g}"
            )
        check_argument("min_crop_area", min_crop_area, MIN_CROP_AREA)
        self.min_crop_area = min_crop_area
        self.color_jitter_strength = strength
        self.use_blur = use_blur
        distortions: list[base.StatelessAugmentationLayer] = []
        if strength > 0:
            distortions.append(RandomColorJitter((0.0, 1.0), strength=strength))
            distortions.append(RandomGrayscale())
        if use_blur:
            distortions.append(RandomGaussianBlur())
        super().__init__(
            image_size,
            views_per_image=2,
            distortions=distortions,
            value_range=value_range,
            min_crop_area=min_crop_area,
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            "image_size": self.image_size,
            "min_crop_area": self.min_crop_area,
            "color_jitter_strength": self.color_jitter_strength,
            "use_blur": self.use_blur,
            "value_range": self.value_range,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SimCLRViews:
        """Returns what `get_config` was called on."""
        return cls(**config)


@tf.keras.utils.register_keras_serializable(package="simclr_tf")
class SupervisedView(Views):
    """Makes one view by crop and flip alone, to train a classifier (SimCLR, appendix B.5).

    Args:
      image_size: height and width of the view, in pixels.
      value_range: smallest and largest pixel value of the input.
    """

    def __init__(self, image_size: int, *, value_range: tuple[float, float] = (0, 255)) -> None:
        super().__init__(image_size, views_per_image=1, distortions=[], value_range=value_range)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {"image_size": self.image_size, "value_range": self.value_range}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SupervisedView:
        """Returns what `get_config` was called on."""
        return cls(**config)
