"""How many directions features use: RankMe and LiDAR, which need no labels."""

from __future__ import annotations

import numpy as np

_EPSILON = 1e-7  # of both papers: added to each share
_DELTA = 1e-4  # of LiDAR: added to the variance of views


def rank_me(features: np.ndarray) -> float:
    """Returns the effective rank of features (RankMe, arXiv 2210.02885, section 3.1).

    `exp(-sum p ln p)` of the singular values' shares `p = sigma / sum(sigma) + 1e-7`. Features are
    not centered. It is 1 where all lie on one line through the origin, and at most the smaller
    side of the matrix: compare figures of as many images only.

    Args:
      features: float [n, dim].
    """
    values = np.linalg.svd(np.asarray(features, np.float64), compute_uv=False)
    return _effective_number(values)


def lidar(features: np.ndarray) -> float:
    """Returns how many directions tell images apart, whatever their views (arXiv 2312.04000).

    Linear discriminant analysis with an image for a class (section 4): with `b` the covariance of
    the images' means and `w` that of views about their image's mean, plus 1e-4 on its diagonal, it
    is `exp(-sum p ln p)` of the shares `p = lambda / sum(lambda) + 1e-7` of the eigenvalues of
    `w^-1/2 b w^-1/2`. It is at most the number of images less one; `w` is of full rank only where
    `images * (views - 1)` is the dimension or more.

    Args:
      features: float [images, views, dim], two views or more.
    """
    features = np.asarray(features, np.float64)
    images, views, dim = features.shape
    means = features.mean(axis=1)
    own = (features - means[:, np.newaxis]).reshape(-1, dim)
    within = own.T @ own / len(own) + _DELTA * np.eye(dim)
    between = (means - means.mean(axis=0)).T / np.sqrt(images)
    # w = l l^T: the eigenvalues are the squares of the singular values of l^-1 b^1/2.
    values = np.linalg.svd(np.linalg.solve(np.linalg.cholesky(within), between), compute_uv=False)
    return _effective_number(np.pad(values**2, (0, dim - len(values))))


def _effective_number(values: np.ndarray) -> float:
    """Returns `exp` of the entropy of values that are not negative; 1 where all are 0."""
    shares = values / max(values.sum(), np.finfo(np.float64).tiny) + _EPSILON
    return float(np.exp(-np.sum(shares * np.log(shares))))
