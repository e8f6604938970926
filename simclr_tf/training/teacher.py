"""A network whose predictions a student learns, and which stays what it is."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from simclr_tf.augmentation.resampling import resampling_weights
from simclr_tf.checkpoints import fingerprint_of, variables_by_path
from simclr_tf.training.network import Network


class Teacher:
    """Logits of a frozen classifier.

    It is no part of any Keras model: who trains, saves or counts a student's variables finds none
    of a teacher's.

    Args:
      network: with a classifier, and weights.
      image_size: height and width of the images that it was trained on, in pixels.

    Raises:
      ValueError: there is no classifier.
    """

    def __init__(self, network: Network, image_size: int) -> None:
        if network.num_classes is None:
            raise ValueError("a teacher without supervised_head has nothing to teach")
        self.num_classes = network.num_classes
        self.image_size = image_size
        self._network = network
        network.trainable = False

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Returns logits, float32 [batch, classes], through which no gradient flows.

        Args:
          images: float [batch, h, w, 3] in [0, 1]; resized where they are of another size than the
            teacher's own.
        """
        images = tf.cast(images, tf.float32)
        if images.shape[1:3] != [self.image_size, self.image_size]:
            images = _resize(images, self.image_size)
        outputs = self._network(images, training=False)
        return tf.stop_gradient(tf.cast(outputs["logits_sup"], tf.float32))

    def fingerprints(self, strategy: tf.distribute.Strategy) -> set[str]:
        """Returns the `fingerprint` of each copy that a device of this machine holds.

        Args:
          strategy: in whose scope the network was built.
        """
        copies: list[dict[str, np.ndarray]] = []
        for path, variable in variables_by_path(self._network.parts).items():
            values = strategy.experimental_local_results(variable)
            copies = copies or [{} for _ in values]
            for copy, value in zip(copies, values, strict=True):
                copy[path] = value.numpy()
        return {fingerprint_of(copy) for copy in copies}


def _resize(images: tf.Tensor, size: int) -> tf.Tensor:
    """Resizes as `tf.image.resize(method="bicubic", antialias=True)`, which TPUs do not have.

    Without antialiasing, a smaller size would keep a few pixels and drop the others.
    """
    begin = tf.zeros([1], tf.int32)
    lengths = (images.shape[axis] or tf.shape(images)[axis] for axis in (1, 2))
    rows, columns = (
        resampling_weights(begin, tf.reshape(length, [1]), length, size, antialias=True)[0]
        for length in lengths
    )
    resized = tf.einsum("ah,nhwc,bw->nabc", rows, images, columns)
    return tf.clip_by_value(resized, 0.0, 1.0)  # bicubic interpolation overshoots at edges
