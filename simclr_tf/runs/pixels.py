"""How a run sees transparent pictures and those of 16 bits: as it began, or as its weights did."""

from __future__ import annotations

import dataclasses

from simclr_tf import data
from simclr_tf.checkpoints import StoredWeights
from simclr_tf.config import Config
from simclr_tf.data.pixel_range import measure_range
from simclr_tf.errors import SettingError
from simclr_tf.pixel_rule import Color, PixelRule
from simclr_tf.runs.folder import stored_network
from simclr_tf.runs.labels import Told

# Share of the rule's range by which another may differ before anybody is told.
_ALIKE = 0.25


def choose_pixels(
    config: Config, dataset: data.ImageDataset, weights: StoredWeights | None
) -> Told:
    """Decides how a training run sees its pictures, and says what becomes of 16 bits.

    Args:
      config: what was asked, with its model_dir. A run that it holds goes on as before.
      dataset: as it was opened.
      weights: the initial ones; see `begin_with`.

    Raises:
      SettingError: `alpha_background` contradicts the run.
    """
    known = stored_network(config.task.model_dir)
    if known is not None and known.pixel_rule is not None:
        return see_as_trained(config, dataset, config.data.train_split, known.pixel_rule)
    return begin_with(config, dataset, weights.description.pixel_rule if weights else None)


def begin_with(config: Config, dataset: data.ImageDataset, rule: PixelRule | None) -> Told:
    """Decides how what begins sees its pictures.

    Args:
      config: what was asked. If it says so, `alpha_background` is another than the weights'.
      dataset: as it was opened.
      rule: of the weights that it begins with, None where there is none. If they have seen no
        pictures of 16 bits, the range in use in `train_split` is taken.
    """
    if rule is None or "alpha_background" in config.given:
        rule = dataclasses.replace(rule or PixelRule(), alpha_background=_background(config))
    return _see(dataset, config.data.train_split, rule, complete=True)


def see_as_trained(
    config: Config, dataset: data.ImageDataset, split: str, rule: PixelRule | None
) -> Told:
    """Gives a data set the rule of weights, in which nothing may change; chooses one for None.

    Args:
      config: what was asked.
      dataset: as it was opened.
      split: what is read of it.
      rule: of the weights.

    Raises:
      SettingError: `alpha_background` contradicts the rule.
    """
    if rule is None:
        chosen = PixelRule(alpha_background=_background(config))
        return _see(dataset, split, chosen, complete=True)
    if "alpha_background" in config.given and rule.alpha_background != _background(config):
        before = rule.alpha_background
        raise SettingError(
            "alpha_background",
            config.data.alpha_background,
            "cannot be: these weights were trained on pictures "
            + (f"laid on RGB {before}" if before else "whose alpha was dropped"),
            "remove it",
        )
    return _see(dataset, split, rule, complete=False)


def _see(dataset: data.ImageDataset, split: str, rule: PixelRule, *, complete: bool) -> Told:
    """Gives a data set a rule, and says what becomes of pictures of 16 bits in `split`.

    Args:
      dataset: as it was opened.
      split: what is read of it.
      rule: how its pictures are seen.
      complete: whether the rule gets the range in use where it has none.
    """
    found = measure_range(dataset, split)
    if found is None:
        return dataset.with_pixel_rule(rule), []
    if complete and rule.range_16 is None:
        rule = dataclasses.replace(rule, range_16=(found.low, found.high))
        return dataset.with_pixel_rule(rule), [f"16-bit pictures: values {found} become 0 to 255"]
    low, high = rule.bounds_16
    note = f"16-bit pictures: values {low:,} to {high:,} become 0 to 255, as these weights have it"
    if abs(found.low - low) + abs(found.high - high) > _ALIKE * (high - low):
        note += f"; {split} has {found}"
    return dataset.with_pixel_rule(rule), [note]


def _background(config: Config) -> tuple[int, int, int]:
    return Color.to_rgb(config.data.alpha_background)
