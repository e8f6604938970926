"""A picture of what the contrastive loss sees: images and their two augmented views."""

from __future__ import annotations

import io

import tensorflow as tf

from simclr_tf import data, files, compat
from simclr_tf.augmentation.contact_sheet import draw_contact_sheet
from simclr_tf.config import Config
from simclr_tf.workflows.pretrain import contrastive_views
from simclr_tf.workflows.run_folder import choose_model_dir
from simclr_tf.workflows.session import open_dataset

ROWS = 8


def show_views(config: Config) -> str:
    """Writes views.png into model_dir, a row per image: the original, its views, what was drawn.

    Returns:
      The picture's path.

    Raises:
      UserError: bad input.
    """
    config = choose_model_dir(config)
    compat.start_xla()
    dataset = open_dataset(config)
    split = config.train_split
    dataset.check_split(split, flag="--train_split")
    count = min(ROWS, dataset.num_examples(split))
    with dataset.report_bad_images(config.model_dir):
        samples = data.sample_images(dataset, split=split, count=count, seed=config.seed)
    picture = io.BytesIO()
    draw_contact_sheet(samples, contrastive_views(config)).save(picture, "PNG")
    tf.io.gfile.makedirs(config.model_dir)
    path = files.join(config.model_dir, "views.png")
    files.write_bytes(path, picture.getvalue())
    print(f"wrote {path}: originals, their two views, and what was drawn for each")
    return path
