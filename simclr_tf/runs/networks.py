"""The networks that a configuration trains, in the words of its flags.

Call these in the strategy's scope.
"""

from __future__ import annotations

from typing import Any

from simclr_tf.augmentation import SimCLRViews, SupervisedView, Views
from simclr_tf.checkpoints import StoredWeights, restore_parts
from simclr_tf.config import Config
from simclr_tf.models import SupervisedHead, build_encoder, build_projection_head
from simclr_tf.models.precision import under_policy
from simclr_tf.optimizers.build import decays_weights
from simclr_tf.training.build import build_plain
from simclr_tf.training.classifier import Classifier
from simclr_tf.training.distiller import Distiller
from simclr_tf.training.simclr import SimCLR
from simclr_tf.training.teacher import Teacher


def build_network(
    config: Config, num_classes: int | None, teacher: StoredWeights | None = None
) -> SimCLR | Classifier:
    """Returns what `train_mode` trains, a student of `teacher` if there is one."""
    if config.task.pretraining:
        return build_simclr(config, num_classes)
    assert num_classes is not None  # `prepare` asks for labels
    if teacher is not None:
        return build_distiller(config, num_classes, build_teacher(teacher))
    return build_classifier(config, num_classes)


def build_simclr(config: Config, num_classes: int | None) -> SimCLR:
    """Returns what pre-training trains, with an online linear probe if `num_classes` is given."""
    head, asked = None, config.optimization
    if config.loss.lineareval_while_pretraining and num_classes is not None:
        head = SupervisedHead(num_classes)
    return SimCLR(
        *_build_parts(config),
        head,
        views=training_views(config),
        contrastive_loss=config.loss.loss,
        temperature=config.loss.temperature,
        hidden_norm=config.loss.hidden_norm,
        micro_batch_size=asked.pairs_at_a_time if asked.in_parts else 0,
        **_decay(config),
    )


def build_classifier(config: Config, num_classes: int) -> Classifier:
    """Returns what fine-tuning trains."""
    return Classifier(*_build_parts(config), **_classifier(config, num_classes))


def build_distiller(config: Config, num_classes: int, teacher: Teacher) -> Distiller:
    """Returns what distillation trains."""
    asked = config.distillation
    return Distiller(
        *_build_parts(config),
        teacher=teacher,
        temperature=asked.distill_temperature,
        distillation_weight=asked.distill_weight,
        **_classifier(config, num_classes),
    )


def build_teacher(weights: StoredWeights) -> Teacher:
    """Returns a teacher with its weights. It computes in float32, whatever the student does.

    Raises:
      UserError: the weights cannot be read.
    """
    network = weights.description
    with under_policy("float32"):
        plain = build_plain(
            network.architecture,
            network.num_classes,
            projection_selector=network.projection_selector,
        )
    restore_parts(plain.parts, weights)
    return Teacher(plain, network.image_size)


def _classifier(config: Config, num_classes: int) -> dict[str, Any]:
    """Returns the settings of a classifier, with its supervised head."""
    asked = config.finetuning
    config.architecture.check_projection_selector(asked.ft_proj_selector)
    return {
        "supervised_head": SupervisedHead(num_classes, zero_init=asked.zero_init_logits_layer),
        "views": training_views(config),
        "train_after_block": asked.fine_tune_after_block,
        "projection_selector": asked.ft_proj_selector,
        **_decay(config),
    }


def training_views(config: Config) -> Views:
    """Returns what makes the views of an image: two to pre-train, else one."""
    if not config.task.pretraining:
        return SupervisedView(config.data.image_size)
    return contrastive_views(config)


def contrastive_views(config: Config) -> SimCLRViews:
    """Returns what makes the two views of pre-training."""
    return SimCLRViews(
        config.data.image_size,
        min_crop_area=config.augmentation.min_crop_area,
        color_jitter_strength=config.augmentation.color_jitter_strength,
        use_blur=config.augmentation.use_blur,
    )


def _build_parts(config: Config) -> tuple[Any, Any]:
    norm = config.batch_norm
    settings: dict[str, Any] = {
        "global_bn": norm.global_bn,
        "batch_norm_momentum": norm.batch_norm_decay,
    }
    return (
        build_encoder(config.architecture, **settings),
        build_projection_head(config.architecture, **settings),
    )


def _decay(config: Config) -> dict[str, Any]:
    asked = config.optimization
    return {
        "weight_decay": asked.weight_decay,
        "decay_in_optimizer": decays_weights(asked.optimizer),
    }
