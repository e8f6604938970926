"""SimCLR: contrastive pre-training of an encoder (arXiv 2002.05709, algorithm 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from simclr_tf.architecture import Architecture
from simclr_tf.bounds import CONTRASTIVE_LOSSES, TEMPERATURE, Range, check_argument
from simclr_tf.distribution import replica_share
from simclr_tf.losses import NTXentOutput, dcl, nt_xent, sup_con
from simclr_tf.models import ProjectionHead, SupervisedHead, encoders
from simclr_tf.training.batches import (
    Batch,
    as_dictionary,
    classes_of,
    labels_of,
    make_views,
    size_of,
    with_seeds,
)
from simclr_tf.training.gradient_caching import GradientCache, Gradients
from simclr_tf.training.measures import record, share_labeled, supervised
from simclr_tf.training.network import Network

if TYPE_CHECKING:  # importing it brings keras-cv, which takes seconds
    from simclr_tf.augmentation import Views

_CONTRAST = ("contrast_loss", "contrast_acc", "contrast_entropy")  # what NTXentOutput holds
_EVALUATION_SEED = 0


@tf.keras.utils.register_keras_serializable(package="simclr_tf")
class SimCLR(Network):
    """Pulls together an image's two views and pushes apart all others of the global batch.

        model = SimCLR(Architecture(resnet_depth=18, cifar_stem=True), views=SimCLRViews(32))
        model.compile(LARS(0.3, weight_decay=1e-4))
        model.fit(dataset)  # of images [batch, height, width, 3], labels or none

    Images of a dataset of the user's own are augmented in the step: their views follow from `seed`,
    the step and the image's place in the global batch. `evaluate` gives the contrastive loss and
    accuracy of views that are the same each time, and top-1 and top-5 of the supervised head where
    there are labels; `predict` gives features.

    Args:
      encoder, projection_head, views, weight_decay, decay_in_optimizer, seed: see `Network`.
      supervised_head: is trained as an online linear probe behind a stop-gradient: it reads the
        features and never changes the encoder. Images with the label -1 have none.
      contrastive_loss: `nt_xent`; or `dcl` or `supcon`, see `losses.dcl` and `losses.sup_con`, of
        which the last needs labels.
      temperature: of the contrastive loss.
      hidden_norm: whether projections are normalized to unit length.
      micro_batch_size: pairs, over all replicas, that are encoded at a time; 0 for all. The loss is
        that of the whole batch and its gradient exact, at the price of encoding twice, but batch
        normalization sees a part; see `GradientCache`.
    """

    def __init__(
        self,
        encoder: Architecture | tf.keras.Model,
        projection_head: ProjectionHead | None = None,
        supervised_head: SupervisedHead | None = None,
        *,
        views: Views | None = None,
        contrastive_loss: str = "nt_xent",
        temperature: float = 0.1,
        hidden_norm: bool = True,
        micro_batch_size: int = 0,
        weight_decay: float = 0.0,
        decay_in_optimizer: bool = False,
        seed: int = 0,
    ) -> None:
        check_argument("contrastive_loss", contrastive_loss, CONTRASTIVE_LOSSES)
        check_argument("temperature", temperature, TEMPERATURE)
        check_argument("micro_batch_size", micro_batch_size, Range(0), whole=True)
        super().__init__(
            encoder,
            projection_head,
            supervised_head,
            views=views,
            weight_decay=weight_decay,
            decay_in_optimizer=decay_in_optimizer,
            seed=seed,
        )
        self.contrastive_loss = contrastive_loss
        self.temperature = temperature
        self.hidden_norm = hidden_norm
        self.micro_batch_size = micro_batch_size
        self._cache = GradientCache(self, micro_batch_size) if micro_batch_size else None
        names = ["total_loss", "weight_decay", *_CONTRAST]
        if self.supervised_head is not None:
            names += ["supervised_loss", "supervised_acc"]
        self.train_metrics = {name: tf.keras.metrics.Mean(f"train/{name}") for name in names}
        self.test_metrics = {name: tf.keras.metrics.Mean(f"eval/{name}") for name in _CONTRAST}
        self._test_steps = tf.keras.metrics.Sum("eval/steps")  # starts at 0 in each evaluation

    @tf.autograph.experimental.do_not_convert  # nothing to convert; tracing is much faster
    def train_step(self, batch: Any) -> dict[str, tf.Tensor]:
        """One optimizer step.

        Args:
          batch: images, or what was made of them already; see `as_dictionary`.

        Returns:
          Means since the metrics were last reset.
        """
        before = self.begin_step()
        batch = as_dictionary(batch)
        batch = with_seeds(self.views, batch, step=self.optimizer.iterations, seed=self.seed)
        size = size_of(batch)
        if self.supervised_head is None:
            known, part, factor = tf.constant(0), replica_share(size), tf.constant(0.0)
        else:
            known, part, factor = share_labeled(labels_of(batch))
        # What losses of this replica are multiplied by for their gradients.
        share = part if self.loss_scale is None else part * self.loss_scale
        if self._cache is not None:
            of_label = tf.math.divide_no_nan(share * factor, tf.cast(2 * known, tf.float32))
            step = self._cache.gradients(batch, share=share, of_label=of_label)
        else:
            step = self._gradients(batch, share=share, factor=factor)
        values = dict(zip(_CONTRAST, step.contrast))
        values["weight_decay"] = step.penalty
        values["total_loss"] = step.contrast.loss + step.penalty
        if step.probe:
            values["total_loss"] += step.probe["supervised_loss"] * factor
        return self.end_step(before, step.by_variable, (values, size), (step.probe, known))

    def _gradients(self, batch: Batch, *, share: tf.Tensor, factor: tf.Tensor) -> Gradients:
        """Returns what `GradientCache.gradients` returns, of a batch that fits."""
        views = make_views(self.views, batch)
        images = tf.concat([views[:, 0], views[:, 1]], axis=0)
        probe: dict[str, tf.Tensor] = {}
        with tf.GradientTape() as tape:
            hidden = self.project(images, training=True)
            contrast = self.contrast(hidden[-1], batch)
            penalty = self.penalty()
            loss = contrast.loss + penalty
            if self.supervised_head is not None:
                logits = self.supervised_head(tf.stop_gradient(hidden[0]))
                probe = supervised(tf.tile(batch["label"], [2]), logits)
                loss += probe["supervised_loss"] * factor
        gradients = tape.gradient(loss, self.trainable_variables, output_gradients=share)
        return Gradients(gradients, contrast, penalty, probe)

    @tf.autograph.experimental.do_not_convert
    def test_step(self, batch: Any) -> dict[str, tf.Tensor]:
        """Measures two views of each image, and the supervised head where there are labels.

        The views follow from the image's place in the data alone. Batches with a `weight` hold
        prepared images, and are for the supervised head only; see `Network.test_step`.
        """
        batch = as_dictionary(batch)
        if "weight" in batch:
            return super().test_step(batch)
        # A replica reads its own count, which is that of all.
        step = tf.cast(self._test_steps.total, tf.int64)
        batch = with_seeds(self.views, batch, step=step, seed=_EVALUATION_SEED)
        views = make_views(self.views, batch)
        images = tf.concat([views[:, 0], views[:, 1]], axis=0)
        contrast = self.contrast(self.project(images, training=False)[-1], batch)
        self._test_steps.update_state(1.0)
        values = dict(zip(_CONTRAST, contrast))
        results = record(self.test_metrics, (values, tf.shape(views)[0]))
        if self.supervised_head is not None and {"images", "label"} <= batch.keys():
            results.update(super().test_step(batch))
        return results

    def project(self, images: tf.Tensor, *, training: bool) -> list[tf.Tensor]:
        """Returns what the projection head does: the features first, the projection last."""
        features = encoders.endpoints(self.encoder, images, training=training)["final_avg_pool"]
        return self.projection_head(features, training=training)

    def contrast(self, projections: tf.Tensor, batch: Batch) -> NTXentOutput:
        """Compares the views of a batch.

        Args:
          projections: of views 1, and of views 2 after them, [2 * pairs, dim].
          batch: what they are the views of; of it, labels are used where the loss takes them.
        """
        settings: dict[str, Any] = {
            "temperature": self.temperature,
            "hidden_norm": self.hidden_norm,
        }
        if self.contrastive_loss == "supcon":
            return sup_con(projections, classes_of(batch), **settings)
        return {"nt_xent": nt_xent, "dcl": dcl}[self.contrastive_loss](projections, **settings)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["projection_selector"]
        own = ("contrastive_loss", "temperature", "hidden_norm", "micro_batch_size")
        return {**config, **{name: getattr(self, name) for name in own}}
