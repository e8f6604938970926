"""What embedding and finding neighbors share: a network, pictures of any data set, and features."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from simclr_tf import data
from simclr_tf.checkpoints import Description, fingerprint, restore_parts
from simclr_tf.config import Config
from simclr_tf.embedding import Part, Parts
from simclr_tf.embedding.projector import SIDE
from simclr_tf.errors import SettingError
from simclr_tf.evaluation.features import encode_split, nothing_read
from simclr_tf.models import encoders
from simclr_tf.runs.frozen import adopt_measured, check_finite
from simclr_tf.runs.initial_weights import open_weights, step_of
from simclr_tf.runs.pixels import begin_with
from simclr_tf.runs.preparation import open_dataset, open_one_device
from simclr_tf.training.build import build_plain
from simclr_tf.training.network import Network

_IMAGES_OF_A_PART = 4096

Encode = Callable[[tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Embedder:
    """A network that makes features of pictures.

    Attributes:
      config: what was asked, with what the weights and the run in `model_dir` have decided.
      encode: images float32 [batch, h, w, 3] in [0, 1] -> features float32 [batch, dim].
      dataset: whose pictures they are.
      split: all of it, unless `eval_split` is given.
      about: what features are of, JSON: two that are equal are of the same features.
    """

    config: Config
    encode: Encode
    dataset: data.ImageDataset
    split: str
    about: dict[str, Any]

    def label_names(self, labels: np.ndarray) -> list[str | None]:
        """Returns the class of each label, None for -1."""
        names = self.dataset.class_names or []
        return [names[label] if label >= 0 else None for label in labels.tolist()]

    def complete(self, parts: Parts, *, every: int) -> tuple[int, int]:
        """Computes the features that `parts` lacks.

        Args:
          parts: of this embedder's `about`.
          every: of each so many-th image its small picture is kept.

        Returns:
          How many images could be read, and how many numbers each has.

        Raises:
          SettingError: not one image can be read, or features are no numbers.
        """
        batch = self.config.evaluation.eval_batch_size
        at_once = max(1, _IMAGES_OF_A_PART // batch)  # batches
        steps = data.eval_steps(self.dataset.num_examples(self.split), batch)
        done = min(steps, parts.count * at_once)
        if done:
            print(
                f"goes on after {min(done * batch, self.dataset.num_examples(self.split)):,} images"
            )
        batches = encode_split(
            _with_small(self.encode),
            self.dataset,
            split=self.split,
            batch_size=batch,
            image_size=self.config.data.image_size,
            start_step=done,
        )
        held: list[Part] = []
        for step, (places, (features, small), labels) in enumerate(batches, done + 1):
            held.append(Part(places, features, labels, small[places % every == 0]))
            if len(held) == at_once or step == steps:
                whole = Part(*map(np.concatenate, zip(*held)))
                check_finite(whole.features, self.config, self.split)
                parts.add(whole)
                held = []
        shapes = [part.features.shape for part in parts]
        if not any(rows for rows, _ in shapes):
            raise nothing_read(self.dataset, self.split)
        return sum(rows for rows, _ in shapes), shapes[0][1]


def open_embedder(config: Config) -> Embedder:
    """Opens what `checkpoint`, or else the run in `model_dir`, holds, and the data.

    Raises:
      UserError: bad input.
    """
    config, run = adopt_measured(config)
    config, weights = open_weights(config)
    if weights is None:
        raise SettingError(
            "mode",
            config.task.mode,
            "needs `model_dir`, a run, or `checkpoint`, whose features are wanted",
        )
    network = weights.description
    layer = config.embedding.layer
    _check_layer(layer, network)
    split = config.data.eval_split if "eval_split" in config.given else "all"
    dataset = open_dataset(config, run=run)
    dataset.check_split(split, field="eval_split")
    reads = config.replace(train_split=split)
    dataset, notes = begin_with(reads, dataset, network.pixel_rule)
    print(*dataset.remarks, *notes, sep="\n", end="\n" if notes or dataset.remarks else "")
    open_one_device(config)
    classes = network.num_classes if layer == "logits" else None
    model = build_plain(
        network.architecture, classes, projection_selector=network.projection_selector
    )
    needed = ["encoder"]
    if layer not in ("h", 0):
        needed.append("projection_head")
    if layer == "logits":
        needed.append("supervised_head")
    parts = {name: model.parts[name] for name in needed}
    print(f"embedding {dataset.name}: {restore_parts(parts, weights)}", flush=True)
    about = {
        "dataset": dataset.name,
        "files": dataset.fingerprint,
        "changed": dataset.stamp,
        "split": split,
        "images": dataset.num_examples(split),
        "image_size": config.data.image_size,
        "eval_batch_size": config.evaluation.eval_batch_size,  # decides where parts end
        "pixel_rule": dataset.pixel_rule.to_json(),
        "layer": layer,
        "step": step_of(weights),
        "weights_sha256": fingerprint(parts),
        "precision": config.hardware.precision,
    }
    return Embedder(config, _encoding(model, layer), dataset, split, about)


def _check_layer(layer: int | str, network: Description) -> None:
    layers = network.architecture.projection_layers
    if layer == "logits" and network.num_classes is None:
        raise SettingError(
            "layer", layer, "is of a classifier, and these weights have none", "take h or z"
        )
    if isinstance(layer, int) and layer > layers:
        raise SettingError("layer", layer, f"is beyond the projection head, which has {layers}")


def _encoding(model: Network, layer: int | str) -> Encode:
    """Returns what makes the features of one layer; no more is computed."""

    def encode(images: tf.Tensor) -> tf.Tensor:
        features = encoders.endpoints(model.encoder, images, training=False)["final_avg_pool"]
        if layer in ("h", 0):
            return tf.cast(features, tf.float32)
        hidden = model.projection_head(features, training=False)
        if layer == "logits":
            assert model.supervised_head is not None  # `_check_layer`
            return tf.cast(model.supervised_head(hidden[model.projection_selector]), tf.float32)
        return tf.cast(hidden[-1 if layer == "z" else layer], tf.float32)

    return encode


def _with_small(encode: Encode) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Returns what makes features, and beside them a projector's uint8 pictures of the images."""

    def run(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        small = tf.image.resize(images, [SIDE, SIDE], antialias=True)
        return encode(images), tf.cast(tf.round(255 * tf.clip_by_value(small, 0, 1)), tf.uint8)

    return run
