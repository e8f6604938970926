"""Where views are made: in the input pipeline on the host, or in the training step."""

from __future__ import annotations

import tensorflow as tf

from simclr_tf.augmentation.views import Views


class ViewPipeline:
    """The host's part in making views; `Views.finish` is the training step's.

    On the host: the pipeline makes float views. On the device: the pipeline ships bytes, whole
    images where all have one size, else crops, since shapes in a step are fixed; the step does the
    rest. Both give the same views for the same seeds, up to the rounding of crops to bytes.

    Args:
      views: what is made.
      on_device: whether the training step makes it.
    """

    def __init__(self, views: Views, *, on_device: bool) -> None:
        self.views = views
        self.on_device = on_device

    def prepare(self, images: tf.Tensor, seeds: tf.Tensor) -> dict[str, tf.Tensor]:
        """Does the host's part for uint8 images `[batch, H, W, 3]` and seeds `[batch, 2]`."""
        if self.on_device:
            return {"images": images, "seeds": seeds}
        return {"views": self.views(images, seeds)}

    def prepare_one(self, image: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Does the host's part for one uint8 image `[H, W, 3]` of any size and its seed `[2]`."""
        if self.on_device:
            return {"crops": self.views.crop_one(image, seed), "seeds": seed}
        return {"views": self.views.of_one(image, seed)}
