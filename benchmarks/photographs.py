"""Photographs to time input pipelines on: parts of real ones, of the size of ImageNet's or more."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
from PIL import Image

# Of scikit-image's files: photographs in color of at least 375 x 500 pixels.
NAMES = (
    *("astronaut.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "motorcycle_right.png"),
    *("hubble_deep_field.jpg", "retina.jpg"),
)
WEB, PHONE = (375, 500), (3000, 4000)
COUNTS = {"web": 256, "phone": 32, "turned": 32}
_ORIENTATION, _TURNED = 0x0112, 6


def find(given: str | None) -> Path | None:
    """Returns the folder with scikit-image's pictures: the given one, or where it is installed."""
    if given:
        return Path(given)
    found = importlib.util.find_spec("skimage")
    return Path(found.origin).parent / "data" if found and found.origin else None


def make(originals: Path, folder: Path) -> None:
    """Writes JPEG files into `web`, `phone` and `turned` in `folder`, and says how large they are.

    Those of 375 x 500 are parts of the originals, pixel for pixel where these are large enough. Of
    12 megapixels there are none: parts are enlarged, and given the noise of a sensor. `turned`
    holds the same, lying on their sides as phones store them.
    """
    photographs = [Image.open(originals / name).convert("RGB") for name in NAMES]
    rng = np.random.default_rng(0)
    for kind, count in COUNTS.items():
        (folder / kind).mkdir()
        sizes = []
        for number in range(count):
            photograph = photographs[number % len(photographs)]
            picture = _part(photograph, WEB if kind == "web" else PHONE, rng)
            exif = Image.Exif()
            if kind == "turned":
                exif[_ORIENTATION] = _TURNED
            path = folder / kind / f"{number:03}.jpg"
            picture.save(path, quality=95 if kind == "web" else 90, exif=exif.tobytes())
            sizes.append(os.path.getsize(path))
        print(f"{kind}: {count} photographs, {np.mean(sizes) / 1e3:,.0f} kB each")


def prepare_tfds(folder: Path) -> None:
    """Prepares those of `web` as a data set of TensorFlow Datasets, in `tfds` in `folder`."""
    import tensorflow_datasets as tfds

    class Photographs(tfds.core.GeneratorBasedBuilder):
        """JPEG files as they are."""

        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            image = tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg")
            features = tfds.features.FeaturesDict({"image": image})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for path in sorted((folder / "web").iterdir()):
                yield path.name, {"image": str(path)}

    tfds.disable_progress_bar()
    Photographs(data_dir=str(folder / "tfds")).download_and_prepare()


def _part(photograph: Image.Image, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Cuts out a part of the aspect of `size`, height and width, and makes it that large."""
    height, width = size
    scale = min(photograph.height / height, photograph.width / width)
    # At most a twentieth is cut off where the original is hardly large enough.
    scale = min(max(1.0, 0.95 * scale), scale) if size == WEB else scale * rng.uniform(0.8, 1)
    part_height, part_width = int(height * scale), int(width * scale)
    top = int(rng.integers(photograph.height - part_height + 1))
    left = int(rng.integers(photograph.width - part_width + 1))
    part = photograph.crop((left, top, left + part_width, top + part_height))
    part = part.resize((width, height), Image.Resampling.BICUBIC)
    if size == WEB:
        return part
    noise = 4 * rng.standard_normal((height, width, 1), np.float32)
    return Image.fromarray(np.clip(np.asarray(part) + noise, 0, 255).astype(np.uint8))
