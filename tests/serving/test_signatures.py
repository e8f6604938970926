"""What client and signatures make of picture files, up to the network."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from simclr_tf import data
from simclr_tf.serving.client import read_picture
from simclr_tf.serving.signatures import make_signatures
from tests.data.test_decoding import LOSSLESS, RULE, SLOPE, encode, turned

pytestmark = pytest.mark.smoke
_EXIF = Image.Exif()
_EXIF[0x0112] = 6

FILES = {kind: content for kind, (content, _) in LOSSLESS.items()} | {
    "jpeg": encode(SLOPE, "JPEG", quality=90),
    "jpeg, cmyk": encode(SLOPE, "JPEG", "CMYK"),
    "jpeg, turned": encode(turned(6), "JPEG", exif=_EXIF),
    "png, turned": encode(turned(8), "PNG", exif=_EXIF),
}


@pytest.mark.parametrize("size", [24, 40])  # resized whole; cropped first
def test_images_equal_those_of_evaluation_bit_for_bit(size, tmp_path) -> None:
    for kind, content in FILES.items():
        (tmp_path / f"{kind}.{kind.partition(',')[0]}").write_bytes(content)
    dataset = data.load(f"folder:{tmp_path}", on_bad_image="fail").with_pixel_rule(RULE)
    input_fn = data.eval_input_fn(
        dataset, split="all", global_batch_size=len(FILES), image_size=size
    )
    (batch,) = input_fn(tf.distribute.InputContext())
    contents = [read_picture(str(path)) for path in sorted(tmp_path.iterdir())]

    # The network's place is taken by what it would be given.
    signatures = make_signatures(
        lambda images: {"final_avg_pool": images, "proj_head_output": images},
        size,
        with_classifier=False,
        pixel_rule=RULE,
    )
    assert signatures.keys() == {"serving_default", "embed", "project"}
    served = signatures["serving_default"](tf.constant(contents))["features"]
    assert served.shape == (len(FILES), size, size, 3)
    key = lambda image: image.tobytes()
    expected = sorted(batch["image"].numpy(), key=key)
    np.testing.assert_array_equal(sorted(served.numpy(), key=key), expected)
    assert len({key(image) for image in expected}) > 15
    assert signatures["serving_default"](tf.constant([], tf.string))["features"].shape[0] == 0
