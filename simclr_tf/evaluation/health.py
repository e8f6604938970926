"""Health without labels: where an encoder puts views of images that it should tell apart."""

from __future__ import annotations

import numpy as np

from simclr_tf.evaluation.ranks import lidar, rank_me


def measure_health(features: np.ndarray, projections: np.ndarray | None) -> dict[str, float]:
    """Returns every measure of health by name.

    Args:
      features: h, float [images, views, dim], two images and two views of each or more.
      projections: z of the same views, float [images, views, dim]; None without a projection head.

    Returns:
      `rank_me_h` and `lidar_h`, and of projections `rank_me_z`, `lidar_z`, `deviation`,
      `alignment`, `uniformity`, `positive_similarity` and `hardest_negative_similarity`. Where some
      are no numbers, `not_finite` alone, the share of views of which that is so.
    """
    both = features if projections is None else np.concatenate([features, projections], axis=-1)
    broken = 1 - np.isfinite(both).all(axis=-1).mean()
    if broken:
        return {"not_finite": float(broken)}
    found = _ranks(features, "h")
    if projections is None:
        return found
    return {
        **found,
        **_ranks(projections, "z"),
        "deviation": deviation(projections),
        "alignment": alignment(projections),
        "uniformity": uniformity(projections),
        "positive_similarity": positive_similarity(projections),
        "hardest_negative_similarity": hardest_negative_similarity(projections),
    }


def deviation(projections: np.ndarray) -> float:
    """Returns the deviation of z in a dimension, as a multiple of what it is on a whole sphere.

    Of z of unit length: the standard deviation of each dimension, its mean over dimensions, times
    `sqrt(dim)`. 1 where z points anywhere, 0 where all z are one (SimSiam, arXiv 2011.10566,
    section 4.1).

    Args:
      projections: float [images, views, dim].
    """
    unit = _normalize(projections)
    dim = unit.shape[-1]
    return float(unit.reshape(-1, dim).std(axis=0).mean() * np.sqrt(dim))


def alignment(projections: np.ndarray) -> float:
    """Returns the mean of `||z1 - z2||^2` over pairs of views of one image; 0 is best.

    Of z of unit length (arXiv 2005.10242, section 4.1, with alpha 2).

    Args:
      projections: float [images, views, dim].
    """
    return 2 - 2 * positive_similarity(projections)


def uniformity(projections: np.ndarray) -> float:
    """Returns `ln mean exp(-2 ||z1 - z2||^2)` over views of two images each; 0 is worst.

    Of z of unit length (arXiv 2005.10242, section 4.1, with t 2). All over a sphere of many
    dimensions it is close to -4.

    Args:
      projections: float [images, views, dim].
    """
    similarities, same = _similarities(projections)
    return float(np.log(np.mean(np.exp(4 * similarities[~same] - 4))))


def positive_similarity(projections: np.ndarray) -> float:
    """Returns the mean cosine similarity of two views of one image.

    Args:
      projections: float [images, views, dim].
    """
    unit = _normalize(projections)
    views = unit.shape[1]
    # The sum over all pairs, a view's with itself too, is the square of the sum.
    sums = np.sum(unit.sum(axis=1) ** 2, axis=-1) - np.sum(unit**2, axis=(1, 2))
    return float(sums.mean() / (views * (views - 1)))


def hardest_negative_similarity(projections: np.ndarray) -> float:
    """Returns the mean, over views, of the cosine similarity to the nearest view of another image.

    Args:
      projections: float [images, views, dim].
    """
    similarities, same = _similarities(projections)
    return float(np.where(same, -np.inf, similarities).max(axis=1).mean())


def view_distance(pictures: np.ndarray) -> float:
    """Returns the squared distance of two views of an image as a share of that of two images'.

    Of pixels: it knows no network. 0 where views are one, close to 1 where nothing in their pixels
    says that they are of one image.

    Args:
      pictures: uint8 [images, views, size, size, 3], two of both or more.
    """
    pixels = pictures.astype(np.float32)
    own, others = (np.mean((pixels - np.roll(pixels, 1, axis)) ** 2) for axis in (1, 0))
    return float(own / max(others, np.finfo(np.float32).tiny))


def _ranks(vectors: np.ndarray, name: str) -> dict[str, float]:
    rows = vectors.reshape(-1, vectors.shape[-1])
    return {f"rank_me_{name}": rank_me(rows), f"lidar_{name}": lidar(vectors)}


def _similarities(projections: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns cosine similarities of all views [n, n], and which are of one image, bool [n, n]."""
    images, views, dim = projections.shape
    unit = _normalize(projections).reshape(-1, dim)
    image = np.repeat(np.arange(images), views)
    return unit @ unit.T, image[:, np.newaxis] == image


def _normalize(vectors: np.ndarray) -> np.ndarray:
    """Returns vectors of unit length, float64; one of zeros stays."""
    vectors = np.asarray(vectors, np.float64)
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(norms, np.finfo(np.float64).tiny)
