"""A picture of what the contrastive loss sees: images and their two augmented views."""

from __future__ import annotations

import io

import tensorflow as tf

from simclr_tf import compat, data, files
from simclr_tf.augmentation.contact_sheet import draw_contact_sheet
from simclr_tf.config import Config
from simclr_tf.runs.folder import choose_model_dir
from simclr_tf.runs.networks import contrastive_views
from simclr_tf.runs.preparation import open_dataset

ROWS = 8


def show_views(config: Config) -> str:
    """Writes views.png into model_dir, a row per image: the original, its views, what was drawn.

    Returns:
      The picture's path.

    Raises:
      UserError: bad input.
    """
    config = choose_model_dir(config)
    folder, split = config.task.model_dir, config.data.train_split
    compat.start_xla()
    dataset = open_dataset(config.data)
    dataset.check_split(split, field="train_split")
    count = min(ROWS, dataset.num_examples(split))
    with dataset.report_bad_images(folder):
        samples = data.sample_images(dataset, split=split, count=count, seed=config.task.seed)
    picture = io.BytesIO()
    draw_contact_sheet(samples, contrastive_views(config)).save(picture, "PNG")
    tf.io.gfile.makedirs(folder)
    path = files.join(folder, "views.png")
    files.write_bytes(path, picture.getvalue())
    print(f"wrote {path}: originals, their two views, and what was drawn for each")
    return path
