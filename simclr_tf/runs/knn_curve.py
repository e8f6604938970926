"""What the features of a run are worth while it pre-trains, by kNN on some of its images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from simclr_tf import data
from simclr_tf.evaluation import choose_k, extract_features, knn_accuracy
from simclr_tf.evaluation.knn import TEMPERATURE
from simclr_tf.runs.frozen import Examples, open_labeled
from simclr_tf.runs.preparation import PreparedRun

MOST_TRAIN, MOST_TEST = 5_000, 1_000
"""Images that are looked at: they are encoded anew each time."""


@dataclasses.dataclass(frozen=True)
class KnnOnSome:
    """Measures an encoder by kNN on some images.

    Attributes:
      train_set, train_split: images whose labels vote.
      test_set, test_split: images that are classified.
      batch_size: images that are encoded at a time.
      image_size: their height and width.
      every: steps between measurements.
    """

    train_set: data.ImageDataset
    train_split: str
    test_set: data.ImageDataset
    test_split: str
    batch_size: int
    image_size: int
    every: int

    def measurer(self, encoder: tf.keras.Model) -> Callable[[], tuple[float, str]]:
        """Returns what measures the encoder as it is by then: its accuracy, and of what, in words.

        The encoder is traced once, however often it is measured.
        """
        traced = tf.function(lambda images: encoder(images, training=False))

        def embed(images: tf.Tensor, training: bool) -> tf.Tensor:
            del training
            return traced(images)

        def measure() -> tuple[float, str]:
            train = self._examples(embed, self.train_set, self.train_split)
            test = self._examples(embed, self.test_set, self.test_split)
            k = choose_k(train[1])
            labels, images = f"{len(train[1]):,} labels", f"{len(test[1]):,} test images"
            told = f"k {k}, T {TEMPERATURE:g}, {labels}, {images}"
            return knn_accuracy(*train, *test, k=k), told

        return measure

    def _examples(
        self, embed: Callable[..., tf.Tensor], dataset: data.ImageDataset, split: str
    ) -> Examples:
        features, labels = extract_features(
            embed,
            dataset,
            split=split,
            batch_size=self.batch_size,
            image_size=self.image_size,
        )
        return features[labels >= 0], labels[labels >= 0]


def prepare_knn(run: PreparedRun) -> KnnOnSome | None:
    """Opens what `knn_every_epochs` asks for; None where it asks for nothing.

    Several replicas of one machine share the weights that are measured; several machines, and TPUs,
    leave it out, and say so.

    Raises:
      UserError: the splits cannot be had, or have no labels.
    """
    config, asked = run.config, run.config.data
    epochs = config.evaluation.knn_every_epochs
    if not epochs:
        return None
    if run.workers.count > 1 or run.device_type == "TPU":
        if run.workers.is_chief:
            print("kNN while pre-training: not on several machines or TPUs; left out")
        return None
    train_set, test_set, _ = open_labeled(config, config.task.model_dir, run.dataset.pixel_rule)
    few, fewer = (
        dataset.some(split, most)
        for dataset, split, most in (
            (train_set, asked.train_split, MOST_TRAIN),
            (test_set, asked.eval_split, MOST_TEST),
        )
    )
    steps = epochs * run.plan.train_examples / config.optimization.train_batch_size
    return KnnOnSome(
        few,
        asked.train_split,
        fewer,
        asked.eval_split,
        batch_size=config.evaluation.eval_batch_size,
        image_size=asked.image_size,
        every=max(1, round(steps)),
    )
