"""Where a run's first weights come from, and the network that follows from them."""

from __future__ import annotations

from simclr_tf.run_identity import adopt_architecture
from simclr_tf.checkpoints import StoredWeights, compare, find_weights, variables_by_path
from simclr_tf.config import CIFAR_STEM_UP_TO, Config
from simclr_tf.errors import UserError
from simclr_tf.training.build import build_plain


def open_checkpoint(config: Config) -> tuple[Config, StoredWeights | None]:
    """Finds `--checkpoint` and returns the configuration with its architecture and image size.

    Returns:
      What was asked, and None, if there is no `--checkpoint`.

    Raises:
      UserError: it cannot be read, or flags contradict it and `allow_partial_checkpoint` is off;
        names flag, both values and variables.
    """
    if not config.checkpoint:
        return config, None
    source = find_weights(config.checkpoint)
    adopted, contradicted = adopt_architecture(config, source.metadata)
    if contradicted and not config.allow_partial_checkpoint:
        name, (asked, stored) = next(iter(contradicted.items()))
        network = build_plain(adopted, num_classes=None)
        comparison = compare(variables_by_path(network.parts), source, network.parts)
        stem = f" ({CIFAR_STEM_UP_TO} px and below have another first layer)"
        raise UserError(
            f"--{name}={asked} contradicts --checkpoint={config.checkpoint}, which has "
            f"{name}={stored}{stem if name == 'image_size' else ''}: "
            f"{'; '.join(comparison.problems())}; remove the flag, give another --checkpoint, or "
            "add --allow_partial_checkpoint to take what fits"
        )
    return adopted, source
