"""SimCLR: contrastive pre-training of an encoder (arXiv 2002.05709, algorithm 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from simclr_tf.architecture import Architecture
from simclr_tf.bounds import TEMPERATURE, check_argument
from simclr_tf.distribution import replica_share
from simclr_tf.losses import NTXentOutput, nt_xent
from simclr_tf.models import ProjectionHead, SupervisedHead, encoders
from simclr_tf.training.batches import as_dictionary, labels_of, make_views
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
      temperature: of NT-Xent.
      hidden_norm: whether projections are normalized to unit length.
    """

    def __init__(
        self,
        encoder: Architecture | tf.keras.Model,
        projection_head: ProjectionHead | None = None,
        supervised_head: SupervisedHead | None = None,
        *,
        views: Views | None = None,
        temperature: float = 0.1,
        hidden_norm: bool = True,
        weight_decay: float = 0.0,
        decay_in_optimizer: bool = False,
        seed: int = 0,
    ) -> None:
        check_argument("temperature", temperature, TEMPERATURE)
        super().__init__(
            encoder,
            projection_head,
            supervised_head,
            views=views,
            weight_decay=weight_decay,
            decay_in_optimizer=decay_in_optimizer,
            seed=seed,
        )
        self.temperature = temperature
        self.hidden_norm = hidden_norm
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
        views = make_views(self.views, batch, step=self.optimizer.iterations, seed=self.seed)
        size = tf.shape(views)[0]
        images = tf.concat([views[:, 0], views[:, 1]], axis=0)
        values: dict[str, tf.Tensor] = {}
        probe: dict[str, tf.Tensor] = {}
        if self.supervised_head is None:
            known, part = 0, replica_share(size)
        else:
            labels = labels_of(batch)
            known, part, factor = share_labeled(labels)
        with tf.GradientTape() as tape:
            hidden = self._project(images, training=True)
            contrast = self._contrast(hidden[-1])
            values.update(zip(_CONTRAST, contrast))
            values["weight_decay"] = self.penalty()
            loss = contrast.loss + values["weight_decay"]
            if self.supervised_head is not None:
                logits = self.supervised_head(tf.stop_gradient(hidden[0]))
                probe = supervised(tf.tile(labels, [2]), logits)
                loss += probe["supervised_loss"] * factor
            share = loss * part
        values["total_loss"] = loss
        return self.end_step(before, tape, share, (values, size), (probe, known))

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
        views = make_views(self.views, batch, step=step, seed=_EVALUATION_SEED)
        images = tf.concat([views[:, 0], views[:, 1]], axis=0)
        contrast = self._contrast(self._project(images, training=False)[-1])
        self._test_steps.update_state(1.0)
        values = dict(zip(_CONTRAST, contrast))
        results = record(self.test_metrics, (values, tf.shape(views)[0]))
        if self.supervised_head is not None and {"images", "label"} <= batch.keys():
            results.update(super().test_step(batch))
        return results

    def _project(self, images: tf.Tensor, *, training: bool) -> list[tf.Tensor]:
        """Returns what the projection head does: the features first, the projection last."""
        features = encoders.endpoints(self.encoder, images, training=training)["final_avg_pool"]
        return self.projection_head(features, training=training)

    def _contrast(self, projections: tf.Tensor) -> NTXentOutput:
        return nt_xent(projections, temperature=self.temperature, hidden_norm=self.hidden_norm)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["projection_selector"]
        return {**config, "temperature": self.temperature, "hidden_norm": self.hidden_norm}
