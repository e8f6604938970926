"""What input_pipeline.py times: each contender makes SimCLR's two views of pictures in memory.

Run in a process of its own, one contender and one case at a time:

    python benchmarks/contenders.py simclr_tf 224 BATCH COUNT

Prints one line of JSON: views/s, peak memory of the process in GiB, versions.
"""

from __future__ import annotations

import functools
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # for all of them alike
sys.path.insert(0, str(Path(__file__).parents[1]))
import numpy as np  # noqa: E402

PICTURES = 64


def make_pictures(case: str) -> list[np.ndarray]:
    """Smooth random pictures, so that coding them as JPEG costs what a photograph's does."""
    height, width = (32, 32) if case == "32" else (375, 500)
    rng = np.random.default_rng(0)
    coarse = rng.random((PICTURES, height // 16 + 2, width // 16 + 2, 3))
    rows, columns = (
        np.linspace(0, n - 1.001, m) for n, m in zip(coarse.shape[1:3], (height, width))
    )
    up, left = rows.astype(int), columns.astype(int)
    y, x = (rows - up)[:, None, None], (columns - left)[:, None]
    upper = coarse[:, up][:, :, left] * (1 - x) + coarse[:, up][:, :, left + 1] * x
    lower = coarse[:, up + 1][:, :, left] * (1 - x) + coarse[:, up + 1][:, :, left + 1] * x
    return list((255 * (upper * (1 - y) + lower * y)).astype(np.uint8))


def _source(case: str):
    import tensorflow as tf

    pictures = make_pictures(case)
    if case == "224-jpeg":
        pictures = [tf.io.encode_jpeg(picture, quality=90).numpy() for picture in pictures]
    return tf.data.Dataset.from_tensor_slices(pictures).repeat()


def simclr_tf(case: str, batch: int) -> Iterator:
    """This project."""
    from simclr_tf import compat, data

    compat.import_tensorflow()
    import tensorflow as tf

    from simclr_tf.augmentation import SimCLRViews
    from simclr_tf.data.reading import finish

    small = case == "32"
    views = SimCLRViews(
        32 if small else 224, color_jitter_strength=0.5 if small else 1.0, use_blur=not small
    )

    def seeds(size):
        positions = tf.data.Dataset.range(tf.int64.max).batch(size).batch(1024 // size + 1)
        return positions.map(lambda here: data.position_seeds(0, here)).unbatch()

    @tf.autograph.experimental.do_not_convert
    def of_one(image, seed):
        if case == "224-jpeg":
            image = tf.io.decode_jpeg(image, channels=3)
        return views.of_one(image, seed)

    if small:
        batches = tf.data.Dataset.zip((_source(case).batch(batch), seeds(batch)))
        pairs = batches.map(tf.autograph.experimental.do_not_convert(views), tf.data.AUTOTUNE)
    else:
        pictures = tf.data.Dataset.zip((_source(case), seeds(1024).unbatch()))
        pairs = pictures.map(of_one, tf.data.AUTOTUNE).batch(batch)
    return iter(finish(pairs))


def reference(case: str, batch: int) -> Iterator:
    """The reference release, from the checkout in $REFERENCE_CHECKOUT."""
    arguments, sys.argv = sys.argv, sys.argv[:1]
    sys.path.insert(0, os.path.join(os.environ["REFERENCE_CHECKOUT"], "tf2"))
    import data_util
    import tensorflow as tf

    sys.argv = arguments
    small = case == "32"
    size = 32 if small else 224
    augment = functools.partial(
        data_util.preprocess_image, height=size, width=size, is_training=True,
        color_jitter_strength=0.5 if small else 1.0,
    )  # fmt: skip

    def two_views(image):
        if case == "224-jpeg":
            image = tf.io.decode_jpeg(image, channels=3)
        return tf.concat([augment(image) for _ in range(2)], -1)

    def blur(pairs):
        return data_util.batch_random_blur([pairs[..., :3], pairs[..., 3:]], size, size)

    pairs = _source(case).map(two_views, tf.data.AUTOTUNE).batch(batch, drop_remainder=True)
    if not small:
        pairs = pairs.map(blur, tf.data.AUTOTUNE)
    return iter(pairs.prefetch(tf.data.AUTOTUNE))


def keras_cv(case: str, batch: int) -> Iterator:
    """keras-cv's own layers, which are not the paper's: fixed order, hue halved, no p = 0.8."""
    from simclr_tf import compat

    layers = compat.keras_cv().layers
    import tensorflow as tf

    small = case == "32"
    size, strength = (32, 0.5) if small else (224, 1.0)
    steps = [
        layers.RandomCropAndResize((size, size), (0.08, 1.0), (3 / 4, 4 / 3)),
        layers.RandomFlip("horizontal"),
        layers.RandomColorJitter((0, 255), *[0.8 * strength] * 3, 0.2 * strength),
        layers.Grayscale(output_channels=3),
    ]
    if not small:
        steps.append(layers.RandomGaussianBlur(23, (0.1, 2.0)))
    augment = tf.keras.Sequential(steps)

    def two_views(images):
        images = tf.cast(images, tf.float32)
        return tf.stack([augment(images), augment(images)], axis=1)

    images = _source(case)
    if case == "224-jpeg":
        decode = functools.partial(tf.io.decode_jpeg, channels=3)
        images = images.map(lambda c: tf.ensure_shape(decode(c), (375, 500, 3)), tf.data.AUTOTUNE)
    pairs = images.batch(batch, drop_remainder=True).map(two_views, tf.data.AUTOTUNE)
    return iter(pairs.prefetch(tf.data.AUTOTUNE))


def lightly(case: str, batch: int) -> Iterator:
    """Lightly's SimCLRTransform in a DataLoader with a worker for each core."""
    import io

    import torch
    from lightly.transforms import SimCLRTransform
    from PIL import Image

    small = case == "32"
    transform = SimCLRTransform(
        input_size=32 if small else 224,
        cj_strength=0.5 if small else 1.0,
        gaussian_blur=0.0 if small else 0.5,
    )
    pictures = [Image.fromarray(picture) for picture in make_pictures(case)]
    if case == "224-jpeg":
        files = [io.BytesIO() for _ in pictures]
        for picture, file in zip(pictures, files):
            picture.save(file, "JPEG", quality=90)

    class Pictures(torch.utils.data.Dataset):
        def __len__(self):
            return 10**9

        def __getitem__(self, i):
            if case == "224-jpeg":
                return transform(Image.open(io.BytesIO(files[i % PICTURES].getvalue())))
            return transform(pictures[i % PICTURES])

    torch.set_num_threads(1)
    loader = torch.utils.data.DataLoader(Pictures(), batch_size=batch, num_workers=os.cpu_count())
    return iter(loader)


CONTENDERS = {f.__name__: f for f in (simclr_tf, reference, keras_cv, lightly)}


def main() -> None:
    """Makes and times the batches that the command line asks for."""
    name, case, batch, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    batches = CONTENDERS[name](case, batch)
    for _ in range(2):  # tracing, compiling, starting workers
        next(batches)
    steps = max(2, count // (2 * batch))
    begin = time.perf_counter()
    for _ in range(steps):
        next(batches)
    rate = 2 * batch * steps / (time.perf_counter() - begin)
    usage = [
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    package = "torch" if name == "lightly" else "tensorflow"
    version = f"{package} {sys.modules[package].__version__}"
    print(json.dumps({"views_per_s": rate, "peak_gib": max(usage) / 2**20, "version": version}))
    sys.stdout.flush()
    os._exit(0)  # endless pipelines take long to stop


if __name__ == "__main__":
    main()
