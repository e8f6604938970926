"""Where views are made: in the input pipeline on the host, or in the training step."""

from __future__ import annotations

import tensorflow as tf

from simclr_tf.augmentation.views import Views

# On the host, larger images take longer in batches, and several times the memory: a crop is then
# cheaper than the matrices that make crops of a batch.
_LARGEST_BATCHED = 64


class ViewPipeline:
    """The host's part in making views; `Views.finish` is the training step's.

    On the host: the pipeline makes float views. On the device: the pipeline ships bytes, whole
    images where all have one size and are no larger than their crops, else crops, since shapes in a
    step are fixed; the step does the rest. Both give the same views for the same seeds, up to the
    rounding of crops to bytes.

    Args:
      views: what is made.
      on_device: whether the training step makes it.
    """

    def __init__(self, views: Views, *, on_device: bool) -> None:
        self.views = views
        self.on_device = on_device

    def in_batches(self, height: int, width: int) -> bool:
        """Says whether images of this one size are to be prepared in batches, not one by one."""
        if self.on_device:
            crops = self.views.views_per_image * self.views.image_size**2
            return height * width <= crops
        return max(height, width) <= _LARGEST_BATCHED

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
