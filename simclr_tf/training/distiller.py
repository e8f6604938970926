"""Training of a student on what a teacher predicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from simclr_tf.bounds import DISTILLATION_WEIGHT, TEMPERATURE, check_argument
from simclr_tf.data.labels import NO_LABEL
from simclr_tf.losses import distillation_loss
from simclr_tf.training.batches import Batch, labels_of, size_of
from simclr_tf.training.classifier import Classifier


class Distiller(Classifier):
    """Trains a classifier on a teacher's predictions, and on labels where there are some.

        student = Distiller(ResNet(18), supervised_head=SupervisedHead(10), teacher=teacher.predict,
                            views=SupervisedView(32))

    The loss is (1 - distillation_weight) * cross-entropy + distillation_weight * distillation
    (SimCLRv2, equation 3, each sum divided by the number of its images): a mean over the labeled
    images of the global batch, and one over all of its images.

    Args:
      teacher: images, float32 [batch, h, w, 3] in [0, 1], the view that the student sees -> logits
        [batch, classes], a `Teacher` or any function of TensorFlow. None of its variables is among
        this model's; no gradient flows into it.
      temperature: see `distillation_loss`.
      distillation_weight: above 0 and at most 1. With 1, no label is read.
      **settings: as of a `Classifier`.
    """

    def __init__(
        self,
        *args: Any,
        teacher: Callable[[tf.Tensor], tf.Tensor],
        temperature: float = 1.0,
        distillation_weight: float = 1.0,
        **settings: Any,
    ) -> None:
        check_argument("temperature", temperature, TEMPERATURE)
        check_argument("distillation_weight", distillation_weight, DISTILLATION_WEIGHT)
        super().__init__(*args, **settings)
        # In a function, where Keras does not look for layers.
        self._teach = lambda images: tf.stop_gradient(teacher(images))
        self.temperature = temperature
        self.distillation_weight = distillation_weight
        names = ["total_loss", "weight_decay", "distillation_loss", "teacher_agreement"]
        if self.reads_labels:
            names += ["supervised_loss", "supervised_acc"]
        self.train_metrics = {name: tf.keras.metrics.Mean(f"train/{name}") for name in names}

    @property
    def reads_labels(self) -> bool:
        return self.distillation_weight < 1

    def labels(self, batch: Batch) -> tf.Tensor:
        """Returns the labels, int64 [batch]: none where the teacher alone is learned from."""
        if self.reads_labels:
            return labels_of(batch)
        return tf.fill([size_of(batch)], tf.constant(NO_LABEL, tf.int64))

    def objective(
        self, images: tf.Tensor, logits: tf.Tensor, supervised_loss: tf.Tensor
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns the loss without weight decay, and what else is measured over all images."""
        taught = self._teach(images)
        loss = distillation_loss(taught, logits, temperature=self.temperature)
        same = tf.equal(tf.argmax(taught, axis=-1), tf.argmax(logits, axis=-1))
        count = tf.cast(tf.shape(logits)[0], tf.float32)  # none, on a replica that gets no image
        measured = {
            "distillation_loss": tf.math.divide_no_nan(tf.reduce_sum(loss), count),
            "teacher_agreement": tf.math.divide_no_nan(
                tf.reduce_sum(tf.cast(same, tf.float32)), count
            ),
        }
        weight = self.distillation_weight
        total = weight * measured["distillation_loss"]
        if self.reads_labels:
            total += (1 - weight) * supervised_loss
        return total, measured

    def get_config(self) -> dict[str, Any]:
        """Raises NotImplementedError: a file would not hold the teacher."""
        raise NotImplementedError(
            "a Distiller cannot be saved whole, since its teacher is no part of it; save its "
            "encoder, projection_head and supervised_head, or its weights"
        )
