"""Data sets by name, preprocessing for evaluation, and the input pipelines."""

from __future__ import annotations

from simclr_tf.data.datasets import load, short_name
from simclr_tf.data.eval_pipeline import eval_input_fn, eval_steps
from simclr_tf.data.first_batch import FirstBatch
from simclr_tf.data.image_dataset import ImageDataset
from simclr_tf.data.preprocessing import preprocess_for_eval, to_rgb
from simclr_tf.data.sampling import sample_images
from simclr_tf.data.seeds import position_seeds
from simclr_tf.data.train_pipeline import train_input_fn

__all__ = [
    "FirstBatch",
    "ImageDataset",
    "eval_input_fn",
    "eval_steps",
    "load",
    "position_seeds",
    "preprocess_for_eval",
    "sample_images",
    "short_name",
    "to_rgb",
    "train_input_fn",
]
