"""A picture of what the contrastive loss sees: images and their two augmented views."""

from __future__ import annotations

import tensorflow as tf

from simclr_tf import data, files
from simclr_tf.augmentation import SimCLRViews
from simclr_tf.config import Config
from simclr_tf.workflows.run_folder import choose_model_dir
from simclr_tf.workflows.training import open_dataset

ROWS = 8


def show_views(config: Config) -> str:
    """Writes views.png into model_dir, a row per image: original, view 1, view 2.

    Returns:
      The picture's path.

    Raises:
      UserError: bad input.
    """
    config = choose_model_dir(config)
    dataset = open_dataset(config)
    size = config.image_size
    make_views = SimCLRViews(
        size, color_jitter_strength=config.color_jitter_strength, use_blur=config.use_blur
    )

    def with_original(images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        originals = tf.map_fn(
            lambda image: data.preprocess_for_eval(image, size),
            images,
            fn_output_signature=tf.float32,
        )
        return tf.concat([originals[:, tf.newaxis], make_views(images, seeds)], axis=1)

    input_fn = data.train_input_fn(
        dataset,
        split=config.train_split,
        global_batch_size=ROWS,
        transform=with_original,
        output_key="rows",
        cache=False,
        seed=config.seed,
    )
    with dataset.report_bad_images(config.model_dir):
        rows = next(iter(input_fn(tf.distribute.InputContext())))["rows"]
    rows = tf.pad(rows, [[0, 0], [0, 0], [0, 4], [0, 4], [0, 0]], constant_values=1.0)
    count, columns, height, width, _ = rows.shape
    sheet = tf.reshape(tf.transpose(rows, [0, 2, 1, 3, 4]), [count * height, columns * width, 3])
    picture = tf.io.encode_png(tf.image.convert_image_dtype(sheet, tf.uint8, saturate=True))
    tf.io.gfile.makedirs(config.model_dir)
    path = files.join(config.model_dir, "views.png")
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(picture.numpy())
    print(f"wrote {path}: originals and their two views")
    return path
