"""A picture of what the contrastive loss sees: images and their two augmented views."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import tensorflow as tf

from simclr_tf import compat, data, files
from simclr_tf.augmentation import Views
from simclr_tf.augmentation.contact_sheet import draw_contact_sheet
from simclr_tf.config import Config
from simclr_tf.runs.folder import check_writable, choose_model_dir, stored_config, stored_plan
from simclr_tf.runs.identity import adopt_run
from simclr_tf.runs.networks import training_views
from simclr_tf.runs.pixels import choose_pixels
from simclr_tf.runs.preparation import learned_from, open_dataset

ROWS = 8


def show_views(config: Config) -> str:
    """Writes views.png into model_dir, a row per image: the original, its views, what was drawn.

    The images are those of the training step `step`, and so are their views. Where `model_dir`
    holds a run, settings that are not given are the run's.

    Returns:
      The picture's path.

    Raises:
      UserError: bad input.
    """
    # No weights are needed, so that any checkpoint will do, also one of the run itself.
    config = dataclasses.replace(config, given=config.given - {"checkpoint"})
    stored = stored_config(config.task.model_dir) if config.task.model_dir else None
    if stored is None:
        config = choose_model_dir(config)
    else:  # views have nothing to do with weights
        config = adopt_run(dataclasses.replace(config, given=config.given - {"checkpoint"}), stored)
    folder, split, step = config.task.model_dir, config.data.train_split, config.evaluation.step
    compat.start_xla()
    dataset = open_dataset(config, run=folder)
    dataset.check_split(split, field="train_split")
    dataset, notes = choose_pixels(config, learned_from(config, dataset), None)
    print(*notes, sep="\n", end="\n" if notes else "")
    check_writable(folder)
    # Without a run there may be fewer images than a batch.
    batch = min(config.optimization.train_batch_size, dataset.num_examples(split))
    with dataset.report_bad_images(folder):
        samples = data.sample_images(
            dataset,
            split=split,
            batch_size=batch,
            seed=config.task.seed,
            step=step,
            cache=config.data.cache_dataset,
            hosts=stored_plan(folder).get("workers", 1),
            most=None if "step" in config.given else ROWS,
        )
    views = training_views(config)
    picture = io.BytesIO()
    draw_contact_sheet(samples[:ROWS], views).save(picture, "PNG")
    path = files.join(folder, "views.png")
    files.write_bytes(path, picture.getvalue())
    print(f"wrote {path}: originals, their two views, and what was drawn for each")
    if "step" in config.given:
        print(f"step {step:,}: {_measure(samples, views)}")
    return path


def _measure(samples: list[tuple[tf.Tensor, tf.Tensor]], views: Views) -> str:
    """Says between which values the pixels of a batch's views lie."""
    pixels = [views.of_one(image, seed).numpy() for image, seed in samples]
    low, high = min(map(np.min, pixels)), max(map(np.max, pixels))
    broken = sum(not np.isfinite(views_of_one).all() for views_of_one in pixels)
    return (
        f"{len(samples):,} images, pixels of their views {low:.3f} to {high:.3f}, "
        f"{broken or 'none'} with values that are no numbers"
    )
