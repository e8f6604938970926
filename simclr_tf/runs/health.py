"""Who measures health without labels, and by which views."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from simclr_tf import data
from simclr_tf.checkpoints import StoredWeights
from simclr_tf.config import Config
from simclr_tf.errors import SettingError
from simclr_tf.evaluation import encode_views, measure_health, sample_views, view_distance
from simclr_tf.runs.networks import contrastive_views
from simclr_tf.runs.preparation import PreparedRun
from simclr_tf.training.diagnosis import Judge
from simclr_tf.training.health import GROUP, Health
from simclr_tf.training.network import Network

_STEPS = 100  # of fewer nothing can be said


def watch_health(run: PreparedRun, model: Network, start: int) -> Health | None:
    """Returns what looks at a run's health while it is trained.

    None for fine-tuning, and for short runs. On several machines one alone cannot read what all
    average, and on TPUs nothing is done outside of compiled steps: `--mode=probe` measures these
    afterwards.

    Args:
      run: from `prepare`.
      model: compiled.
      start: step that the run starts at.
    """
    config, total = run.config, run.plan.train_steps
    alone = run.workers.count == 1 and run.device_type != "TPU"
    if not (config.task.pretraining and alone and total >= _STEPS):
        return None
    views, split = model.views, config.data.train_split
    assert views is not None
    return Health(
        model,
        lambda: sample_views(run.dataset, split, views),
        judge_of(config),
        start=start,
        total=total,
        # No more than a step encodes, which had memory for it.
        at_once=min(128, 2 * config.optimization.pairs_at_a_time // run.plan.replicas),
    )


def judge_of(config: Config) -> Judge:
    """Returns what says what figures mean, of a run of these settings."""
    bounded = config.loss.hidden_norm and config.loss.loss == "nt_xent"
    temperature = config.loss.temperature if bounded else None
    return Judge(config.optimization.train_batch_size, temperature)


def holds_head(weights: StoredWeights | None) -> bool:
    """Says whether a projection head belongs to an encoder; an untrained one has one."""
    return weights is None or any(path.startswith("projection_head/") for path in weights.keys)


def probe_health(
    config: Config, dataset: data.ImageDataset, network: Network, *, with_head: bool
) -> dict[str, float]:
    """Prints and returns health of a network, by the names of metrics.jsonl.

    It is measured as while a run is trained: on the same images, and the same views of them if the
    settings of augmentation are the same.

    Args:
      config: says which split, image size and augmentation.
      dataset: that holds the images.
      network: its encoder's and projection head's weights are those to measure.
      with_head: whether it has a head; else h alone is measured.

    Raises:
      SettingError: there are not two images that can be read.
    """
    asked, split = config.augmentation, config.data.train_split
    pictures = sample_views(dataset, split, contrastive_views(config))
    if len(pictures) < 2:
        raise SettingError("train_split", split, ": health takes two images", "give another split")
    features, projections = encode_views(network, pictures)
    figures = measure_health(features, projections if with_head else None)
    figures["view_distance"] = view_distance(pictures)
    blur = "blur" if asked.use_blur else "no blur"
    print(
        f"  health, without labels: {len(pictures):,} images of {split}, {pictures.shape[1]} views "
        f"each (crops of {asked.min_crop_area:g} or more, color jitter "
        f"{asked.color_jitter_strength:g}, {blur})"
    )
    for row in describe_health(figures, features.shape[-1], projections.shape[-1]):
        print(f"    {row}")
    if with_head:
        print(f"    {judge_of(config)([figures])}", flush=True)
    return {f"{GROUP}{name}": value for name, value in figures.items()}


def describe_health(
    figures: Mapping[str, float], feature_dim: int, projection_dim: int
) -> Iterator[str]:
    """Yields the figures of `measure_health` in words, a line for h and two for z."""
    if "not_finite" in figures:
        yield f"{figures['not_finite']:.1%} of the views give h or z that are no numbers"
        return
    for name, dim in (("h", feature_dim), ("z", projection_dim)):
        if f"rank_me_{name}" in figures:
            ranks = figures[f"rank_me_{name}"], figures[f"lidar_{name}"]
            yield f"{name}: RankMe {ranks[0]:.1f}, LiDAR {ranks[1]:.1f} of {dim:,} dimensions"
    if "deviation" in figures:
        yield (
            f"z: deviation {figures['deviation']:.2f} / sqrt({projection_dim:,}), alignment "
            f"{figures['alignment']:.2f}, uniformity {figures['uniformity']:.2f}; cosine "
            f"similarity of partners {figures['positive_similarity']:.2f}, of the nearest other "
            f"image {figures['hardest_negative_similarity']:.2f}"
        )
