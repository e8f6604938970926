"""Where a run's first weights come from, and the network that follows from them."""

from __future__ import annotations

import re

from simclr_tf.architecture import CIFAR_STEM_UP_TO
from simclr_tf.checkpoints import StoredWeights, compare, find_weights, variables_by_path
from simclr_tf.config import Config
from simclr_tf.errors import SettingError
from simclr_tf.runs.folder import holds_checkpoint, stored_config
from simclr_tf.runs.identity import adopt_initial_weights, adopt_network
from simclr_tf.training.build import build_plain


def open_weights(config: Config) -> tuple[Config, StoredWeights | None]:
    """Finds `checkpoint` and returns the configuration with its architecture and image size.

    Returns:
      What was asked, and None, if there is no `checkpoint`.

    Raises:
      UserError: it cannot be read, or settings contradict it and `allow_partial_checkpoint` is off;
        names setting, both values and variables.
    """
    if not config.task.checkpoint:
        return config, None
    weights = find_weights(config.task.checkpoint, trust_checkpoint=config.task.trust_checkpoint)
    network = weights.description
    adopted, contradicted = adopt_network(config, network.architecture, network.image_size)
    if contradicted and not config.task.allow_partial_checkpoint:
        name, (asked, stored) = next(iter(sorted(contradicted.items())))
        parts = build_plain(adopted.architecture).parts
        comparison = compare(variables_by_path(parts), weights, parts)
        stem = f" ({CIFAR_STEM_UP_TO} px and below have another first layer)"
        raise SettingError(
            name,
            asked,
            f"contradicts `checkpoint={config.task.checkpoint}`, which has {name}={stored}"
            f"{stem if name == 'image_size' else ''}: {'; '.join(comparison.problems())}",
            "remove the flag, give another `checkpoint`, or add `allow_partial_checkpoint` to take "
            "what fits",
        )
    return adopted, weights


def open_initial_weights(config: Config) -> tuple[Config, StoredWeights | None]:
    """As `open_weights`, for training: a run with a checkpoint of its own needs no other.

    Its initial `checkpoint` may then be left out, or be gone. What it gave to the run, such as the
    architecture, is in the run's configuration.
    """
    folder = config.task.model_dir
    stored = stored_config(folder) if folder else None
    if stored is None or not stored.get("checkpoint") or not holds_checkpoint(folder):
        return open_weights(config)
    return adopt_initial_weights(config, stored), None


def step_of(weights: StoredWeights) -> int:
    """Returns the step that the weights were trained to, 0 where nothing says."""
    numbered = re.search(r"ckpt-(\d+)$", weights.prefix)
    return int(numbered[1]) if numbered else weights.description.step or 0
