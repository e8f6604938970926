"""What input_pipeline.py times: each contender makes SimCLR's two views of pictures.

Run in a process of its own, one contender and one case at a time:

    python benchmarks/contenders.py simclr_tf folder BATCH COUNT FOLDER

Prints one line of JSON: views/s, milliseconds of a core a view, peak memory of the process in GiB,
versions.
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

# case -> the subfolder of FOLDER that it reads; others make random pictures in memory.
FOLDERS = {"folder": "web", "crops": "web", "tfds": "tfds", "phone": "phone", "turned": "turned"}


def make_pictures(case: str) -> list[np.ndarray]:
    """Random pictures: from bytes in memory, all cost the same."""
    count, shape = (4096, (32, 32, 3)) if case == "32" else (64, (375, 500, 3))
    return list(np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8))


def _files(case: str, folder: str) -> list[str]:
    return [str(path) for path in sorted((Path(folder) / FOLDERS[case]).iterdir())]


def _source(case: str, folder: str):
    """Pictures in memory, or the contents of files."""
    import tensorflow as tf

    if case not in FOLDERS:
        return tf.data.Dataset.from_tensor_slices(make_pictures(case)).repeat()
    files = tf.data.Dataset.from_tensor_slices(_files(case, folder)).shuffle(1000).repeat()
    return files.map(tf.io.read_file, tf.data.AUTOTUNE)


def simclr_tf(case: str, batch: int, folder: str) -> Iterator:
    """This project: the pipeline that a training run reads, whole."""
    from simclr_tf import compat, data

    compat.import_tensorflow()
    import tensorflow as tf

    from simclr_tf.augmentation import SimCLRViews, ViewPipeline

    small = case == "32"
    views = SimCLRViews(
        32 if small else 224, color_jitter_strength=0.5 if small else 1.0, use_blur=not small
    )
    split = "train"
    if case == "tfds":
        dataset = data.load("photographs", data_dir=Path(folder) / FOLDERS[case])
    elif case in FOLDERS:
        dataset, split = data.load(f"folder:{Path(folder) / FOLDERS[case]}"), "all"
    else:
        dataset = _in_memory(make_pictures(case))
    input_fn = data.train_input_fn(
        dataset,
        split=split,
        global_batch_size=batch,
        transform=ViewPipeline(views, on_device=case == "crops"),
        cache=False,
        seed=0,
    )
    return iter(input_fn(tf.distribute.InputContext()))


def _in_memory(pictures: list[np.ndarray]):
    import tensorflow as tf

    from simclr_tf.data import ImageDataset

    class InMemory(ImageDataset):
        """Pictures of one size."""

        name = "in memory"
        image_shape = pictures[0].shape
        class_names = None
        splits = {"train": len(pictures)}

        def num_examples(self, split):
            return self.splits[split]

        def read(self, split, *, shard, by_file, file_seed):
            contents = [picture.tobytes() for picture in pictures]
            return tf.data.Dataset.from_tensor_slices(
                {"image": contents, "label": [-1] * len(contents)}
            )

        def decode(self, example):
            return tf.reshape(tf.io.decode_raw(example["image"], tf.uint8), self.image_shape)

        def check_split(self, split, *, field="train_split"):
            pass

        sample_labels = all_labels = only = labels_only = _renumber = None

    return InMemory()


def reference(case: str, batch: int, folder: str) -> Iterator:
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
        if case in FOLDERS:
            image = tf.io.decode_jpeg(image, channels=3)
        return tf.concat([augment(image) for _ in range(2)], -1)

    def blur(pairs):
        return data_util.batch_random_blur([pairs[..., :3], pairs[..., 3:]], size, size)

    pairs = _source(case, folder).map(two_views, tf.data.AUTOTUNE)
    pairs = pairs.batch(batch, drop_remainder=True)
    if not small:
        pairs = pairs.map(blur, tf.data.AUTOTUNE)
    return iter(pairs.prefetch(tf.data.AUTOTUNE))


def keras_cv(case: str, batch: int, folder: str) -> Iterator:
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

    images = _source(case, folder)
    if case in FOLDERS:
        decode = functools.partial(tf.io.decode_jpeg, channels=3)
        images = images.map(lambda c: tf.ensure_shape(decode(c), (375, 500, 3)), tf.data.AUTOTUNE)
    pairs = images.batch(batch, drop_remainder=True).map(two_views, tf.data.AUTOTUNE)
    return iter(pairs.prefetch(tf.data.AUTOTUNE))


def lightly(case: str, batch: int, folder: str) -> Iterator:
    """Lightly's SimCLRTransform in a DataLoader with a worker for each core."""
    import torch
    from lightly.transforms import SimCLRTransform
    from PIL import Image

    small = case == "32"
    transform = SimCLRTransform(
        input_size=32 if small else 224,
        cj_strength=0.5 if small else 1.0,
        gaussian_blur=0.0 if small else 0.5,
    )
    if case in FOLDERS:
        pictures = _files(case, folder)
    else:
        pictures = [Image.fromarray(picture) for picture in make_pictures(case)]

    class Pictures(torch.utils.data.Dataset):
        def __len__(self):
            return 10**9

        def __getitem__(self, i):
            picture = pictures[i % len(pictures)]
            return transform(Image.open(picture) if case in FOLDERS else picture)

    torch.set_num_threads(1)
    loader = torch.utils.data.DataLoader(Pictures(), batch_size=batch, num_workers=os.cpu_count())
    return iter(loader)


CONTENDERS = {f.__name__: f for f in (simclr_tf, reference, keras_cv, lightly)}


def main() -> None:
    """Makes and times the batches that the command line asks for."""
    name, case, folder = sys.argv[1], sys.argv[2], sys.argv[5]
    batch, count = int(sys.argv[3]), int(sys.argv[4])
    batches = CONTENDERS[name](case, batch, folder)
    for _ in range(2):  # tracing, compiling, starting workers, the first look at each file
        next(batches)
    steps = max(2, count // (2 * batch))
    begin, begin_cpu = time.perf_counter(), time.process_time()
    for _ in range(steps):
        next(batches)
    views = 2 * batch * steps
    rate = views / (time.perf_counter() - begin)
    # Of lightly's workers, which are processes of their own, it knows nothing.
    core_ms = 1e3 * (time.process_time() - begin_cpu) / views if name != "lightly" else None
    usage = [
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    package = "torch" if name == "lightly" else "tensorflow"
    version = f"{package} {sys.modules[package].__version__}"
    peak = max(usage) / 2**20
    result = {"views_per_s": rate, "core_ms": core_ms, "peak_gib": peak, "version": version}
    print(json.dumps(result))
    sys.stdout.flush()
    os._exit(0)  # endless pipelines take long to stop


if __name__ == "__main__":
    main()
