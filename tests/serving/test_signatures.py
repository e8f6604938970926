"""What the signatures make of picture files, up to the network."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf import data
from simclr_tf.serving.signatures import make_signatures
from tests.serving.test_decoding import EXACT

pytestmark = pytest.mark.smoke


@pytest.mark.parametrize("size", [24, 40])  # resized whole; cropped first
def test_images_equal_those_of_evaluation_bit_for_bit(size, tmp_path) -> None:
    for kind, content in EXACT.items():
        name = kind.replace(", ", "_").replace(" ", "_") + "." + kind[:4].strip(",")
        (tmp_path / name).write_bytes(content)
    dataset = data.load(f"folder:{tmp_path}", folder_labels="none", on_bad_image="fail")
    input_fn = data.eval_input_fn(
        dataset, split="all", global_batch_size=len(EXACT), image_size=size
    )
    (batch,) = input_fn(tf.distribute.InputContext())
    contents = [path.read_bytes() for path in sorted(tmp_path.iterdir())]

    # The network's place is taken by what it would be given.
    signatures = make_signatures(
        lambda images: {"final_avg_pool": images, "proj_head_output": images},
        size,
        with_classifier=False,
    )
    assert signatures.keys() == {"serving_default", "embed", "project"}
    served = signatures["serving_default"](tf.constant(contents))["features"]
    assert served.shape == (len(EXACT), size, size, 3)
    key = lambda image: image.tobytes()
    expected = sorted(batch["image"].numpy(), key=key)
    np.testing.assert_array_equal(sorted(served.numpy(), key=key), expected)
    assert len({key(image) for image in expected}) > 5
    assert signatures["serving_default"](tf.constant([], tf.string))["features"].shape[0] == 0
