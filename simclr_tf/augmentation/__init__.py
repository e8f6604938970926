"""SimCLR's augmentations (https://arxiv.org/abs/2002.05709, appendix A) as keras-cv layers."""

from __future__ import annotations

from simclr_tf.augmentation.base import StatelessAugmentationLayer
from simclr_tf.augmentation.random_color_jitter import RandomColorJitter
from simclr_tf.augmentation.random_gaussian_blur import RandomGaussianBlur
from simclr_tf.augmentation.random_grayscale import RandomGrayscale
from simclr_tf.augmentation.random_horizontal_flip import RandomHorizontalFlip
from simclr_tf.augmentation.random_resized_crop import RandomResizedCrop
from simclr_tf.augmentation.random_solarize import RandomSolarize
from simclr_tf.augmentation.simclr_views import SimCLRViews, SupervisedView
from simclr_tf.augmentation.view_pipeline import ViewPipeline
from simclr_tf.augmentation.views import Views

__all__ = [
    "RandomColorJitter",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomSolarize",
    "SimCLRViews",
    "StatelessAugmentationLayer",
    "SupervisedView",
    "ViewPipeline",
    "Views",
]
