"""Features in two dimensions: a picture to look around in, and no measure of anything."""

from __future__ import annotations

import importlib.util

import numpy as np

_DIMENSIONS = 50  # that t-SNE is given
_PERPLEXITY = 30
_EXTENT = 1000  # of the map


def lay_out(features: np.ndarray, *, seed: int) -> tuple[np.ndarray, str]:
    """Lays features out by PCA, then t-SNE; neighbors by cosine stay near where that is possible.

    Args:
      features: float [n, dim].
      seed: of what is random.

    Returns:
      int64 [n, 2] from 0 to 1000, and by what they were found, in words.
    """
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    unit = np.asarray(features, np.float64) / np.maximum(lengths, 1e-12)
    centered = unit - unit.mean(axis=0)
    if len(unit) < 4 or centered.std() < 1e-9:
        return np.full([len(unit), 2], _EXTENT // 2), "nothing: there is nothing to tell apart"
    from sklearn.decomposition import PCA  # half a second

    dimensions = min(_DIMENSIONS, *centered.shape)
    reduced = PCA(dimensions, random_state=seed).fit_transform(centered)
    perplexity = min(_PERPLEXITY, (len(reduced) - 1) / 3)
    points, name = _t_sne(reduced, perplexity, seed)
    points = points - points.min(axis=0)
    placed = np.rint(_EXTENT * points / max(points.max(), 1e-12)).astype(np.int64)
    # In the middle of the shorter side.
    placed += (_EXTENT - placed.max(axis=0)) // 2
    return placed, f"PCA to {dimensions} dimensions, then {name}, perplexity {perplexity:.3g}"


def _t_sne(reduced: np.ndarray, perplexity: float, seed: int) -> tuple[np.ndarray, str]:
    if importlib.util.find_spec("openTSNE") is not None:
        import openTSNE

        fitted = openTSNE.TSNE(perplexity=perplexity, random_state=seed).fit(reduced)
        return np.asarray(fitted), "t-SNE by openTSNE"
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    t_sne = TSNE(perplexity=perplexity, init="pca", random_state=seed)
    # Beside other work, threads that wait for each other a thousand times take minutes.
    with threadpool_limits(1):
        return t_sne.fit_transform(reduced.astype(np.float32)), "t-SNE by scikit-learn"
