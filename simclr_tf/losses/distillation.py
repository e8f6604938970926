"""Learning what another network predicts (SimCLRv2, arXiv 2006.10029, section 2.3)."""

from __future__ import annotations

import tensorflow as tf

from simclr_tf.bounds import TEMPERATURE, check_argument


def distillation_loss(
    teacher_logits: tf.Tensor, student_logits: tf.Tensor, *, temperature: float = 1.0
) -> tf.Tensor:
    """Returns the cross-entropy of a student's predictions with a teacher's, of each image.

    Predictions are softmax(logits / temperature), on both sides (equation 2), and the loss is
    multiplied by temperature**2, as in the reference's colab: gradients by logits are then as large
    with high temperatures as with 1 (Hinton et al., arXiv 1503.02531, section 2), so that neither
    the learning rate nor the balance with labels has to follow the temperature. Its least value is
    the entropy of the teacher's predictions, times temperature**2.

    Args:
      teacher_logits: [batch, classes]; no gradient flows into them.
      student_logits: [batch, classes].
      temperature: above 0.

    Returns:
      float32 [batch], in nats.

    Raises:
      ValueError: the temperature is not above 0, or classes differ in number.
    """
    check_argument("temperature", temperature, TEMPERATURE)
    classes = teacher_logits.shape[-1], student_logits.shape[-1]
    if classes[0] != classes[1]:
        raise ValueError(f"the teacher has {classes[0]} classes, the student {classes[1]}")
    teacher, student = (
        tf.cast(logits, tf.float32) / temperature for logits in (teacher_logits, student_logits)
    )
    predicted = tf.nn.softmax(tf.stop_gradient(teacher))
    losses = tf.nn.softmax_cross_entropy_with_logits(labels=predicted, logits=student)
    return losses * temperature**2
