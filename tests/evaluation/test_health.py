"""Measures of health against slow versions of the papers' formulas, and on known features."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.linalg

from simclr_tf.evaluation import health, measure_health
from simclr_tf.evaluation.ranks import lidar, rank_me


def some_features(images: int = 12, views: int = 3, dim: int = 5) -> np.ndarray:
    rng = np.random.default_rng(0)
    centers = rng.normal(size=[images, 1, dim]) * np.arange(1, dim + 1)
    return (centers + rng.normal(size=[images, views, dim]) + 0.5).astype(np.float32)


def slow_rank_me(rows: np.ndarray) -> float:
    """Equations 1 and 2; singular values are square roots of a Gram matrix's eigenvalues."""
    gram = rows.T @ rows if len(rows) > rows.shape[1] else rows @ rows.T
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(gram.astype(np.float64)), 0))
    entropy = 0.0
    for value in values:
        share = value / sum(values) + 1e-7
        entropy -= share * math.log(share)
    return math.exp(entropy)


def slow_lidar(features: np.ndarray) -> float:
    images, views, dim = features.shape
    features = features.astype(np.float64)
    mean = features.mean(axis=(0, 1))
    between, within = np.zeros([dim, dim]), 1e-4 * np.eye(dim)
    for image in range(images):
        own = features[image].mean(axis=0)
        between += np.outer(own - mean, own - mean) / images
        for view in range(views):
            away = features[image, view] - own
            within += np.outer(away, away) / (images * views)
    root = scipy.linalg.inv(scipy.linalg.sqrtm(within))
    values = np.linalg.eigvalsh(root @ between @ root)
    shares = np.maximum(values, 0) / values.sum() + 1e-7
    return math.exp(-sum(share * math.log(share) for share in shares))


@pytest.mark.parametrize("size", [(12, 3, 5), (4, 2, 20), (30, 4, 8)])
def test_ranks_equal_the_papers_formulas(size) -> None:
    features = some_features(*size)
    rows = features.reshape(-1, size[2])
    assert rank_me(rows) == pytest.approx(slow_rank_me(rows), rel=1e-5)
    assert lidar(features) == pytest.approx(slow_lidar(features), rel=1e-5)
    measured = measure_health(features, None)
    assert measured == {"rank_me_h": rank_me(rows), "lidar_h": lidar(features)}


def test_ranks_count_directions() -> None:
    """Four equal ones; LiDAR does not count those that are of views alone."""
    signs = np.array(list(itertools.product([-1.0, 1.0], repeat=4)))
    padded = np.pad(signs, [(0, 0), (0, 6)])
    assert rank_me(padded) == pytest.approx(4, rel=1e-4)
    rng = np.random.default_rng(0)
    views = np.repeat(padded[:, np.newaxis], 200, axis=1)
    views += np.pad(rng.normal(size=[16, 200, 5]), [(0, 0), (0, 0), (4, 1)])  # in five others
    views[..., :4] += 0.1 * rng.normal(size=[16, 200, 4])
    assert rank_me(views.reshape(-1, 10)) > 8
    assert lidar(views) == pytest.approx(4, rel=0.01)
    one = np.ones([6, 2, 3])
    assert rank_me(one.reshape(-1, 3)) == pytest.approx(1, rel=1e-4)
    assert lidar(one) == pytest.approx(1, rel=1e-4), "no difference at all"


def test_geometry_equals_loops_over_pairs() -> None:
    features = some_features()
    images, views, dim = features.shape
    unit = features.astype(np.float64) / np.linalg.norm(features, axis=-1, keepdims=True)
    aligned, positive, spread, hardest = [], [], [], []
    for i, v in itertools.product(range(images), range(views)):
        others = []
        for j, w in itertools.product(range(images), range(views)):
            similarity = float(unit[i, v] @ unit[j, w])
            distance = float(np.sum((unit[i, v] - unit[j, w]) ** 2))
            if i != j:
                others.append(similarity)
                spread.append(math.exp(-2 * distance))
            elif v != w:
                positive.append(similarity)
                aligned.append(distance)
        hardest.append(max(others))
    deviations = [
        np.std([unit[i, v, k] for i in range(images) for v in range(views)]) for k in range(dim)
    ]
    expected = {
        "rank_me_h": slow_rank_me(features.reshape(-1, dim)),
        "lidar_h": slow_lidar(features),
        "rank_me_z": slow_rank_me(features.reshape(-1, dim)),
        "lidar_z": slow_lidar(features),
        "deviation": np.mean(deviations) / (1 / math.sqrt(dim)),
        "alignment": np.mean(aligned),
        "uniformity": math.log(np.mean(spread)),
        "positive_similarity": np.mean(positive),
        "hardest_negative_similarity": np.mean(hardest),
    }
    assert measure_health(features, features) == pytest.approx(expected, rel=1e-5)
    assert measure_health(features, 7 * features)["uniformity"] == pytest.approx(
        expected["uniformity"]
    ), "lengths of z do not matter"


def test_what_is_known_of_spheres_and_of_a_point() -> None:
    rng = np.random.default_rng(0)
    anywhere = rng.normal(size=[500, 2, 64])
    assert health.deviation(anywhere) == pytest.approx(1, rel=0.01)
    # E exp(-4 + 4 s) for a cosine s of variance 1/64, nearly normal.
    assert health.uniformity(anywhere) == pytest.approx(-4 + 8 / 64, abs=0.01)
    assert health.alignment(anywhere) == pytest.approx(2, abs=0.05)
    point = np.ones([5, 2, 64])
    assert health.deviation(point) == pytest.approx(0, abs=1e-6)
    assert health.uniformity(point) == pytest.approx(0, abs=1e-6)
    assert health.hardest_negative_similarity(point) == pytest.approx(1)
    assert health.deviation(np.zeros([5, 2, 64])) == 0, "and no division by 0"


def test_distance_of_views() -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (40, 2, 6, 6, 3), np.uint8)
    assert health.view_distance(pictures) == pytest.approx(1, abs=0.05), "as of different images"
    pictures[:, 1] = pictures[:, 0]
    assert health.view_distance(pictures) == 0
    pictures[:, 1, :3] = rng.integers(0, 256, (40, 3, 6, 3), np.uint8)
    assert health.view_distance(pictures) == pytest.approx(0.5, abs=0.05), "half of the pixels"
    assert health.view_distance(np.zeros([3, 2, 4, 4, 3], np.uint8)) == 0


def test_what_is_no_number_is_counted() -> None:
    features = some_features(6, 2)
    projections = features.copy()
    features[0, 0, 0], projections[1, 1, 1] = np.nan, np.inf
    assert measure_health(features, projections) == {"not_finite": pytest.approx(2 / 12)}
