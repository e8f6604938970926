"""Features of pictures, as a file that other programs read."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from simclr_tf import files
from simclr_tf.config import Config
from simclr_tf.embedding import FeatureTable, Parts, Projector, write_table
from simclr_tf.runs.embedding import Embedder, open_embedder
from simclr_tf.runs.folder import check_writable, writing


def embed(config: Config) -> list[str]:
    """Writes the features of every picture of a split, with names and labels.

    Parts of some thousand images are kept beside the file until it is complete: the same command
    goes on with them. Pictures that cannot be read are left out, and named in bad_images.txt.

    Args:
      config: what was asked. Weights are those of `checkpoint`, or else the newest of the run in
        `model_dir`, with the run's own pictures where no others are given.

    Returns:
      The paths of the files.

    Raises:
      UserError: bad input.
    """
    field = "output" if config.embedding.output else "model_dir"
    path = config.embedding.output or files.join(config.task.model_dir, "features.parquet")
    folder, stem = files.parent(path), posixpath.splitext(path)[0]
    check_writable(folder, field)
    embedder = open_embedder(config)
    parts = Parts(f"{path}.parts", embedder.about)
    projector = Projector(embedder.about["images"])
    with embedder.dataset.report_bad_images(folder):
        rows, dim = embedder.complete(parts, every=projector.every)
    about = {**embedder.about, "rows": rows, "numbers": dim}
    with writing(folder, posixpath.basename(path), field):
        written = write_table(path, _tables(embedder, parts, projector), rows=rows, dim=dim)
        files.write_json(f"{stem}.json", about)
        projector.write(f"{stem}_projector")
    parts.remove()
    print(f"wrote {', '.join(written)}: {rows:,} images, {dim:,} numbers each")
    print(f"  what they are of  {stem}.json")
    print(f"  to look around    tensorboard --logdir={stem}_projector  (Projector)")
    return written


def _tables(embedder: Embedder, parts: Parts, projector: Projector) -> Iterator[FeatureTable]:
    """Yields part after part, and gives the projector its points."""
    names = embedder.dataset.image_names(embedder.split)
    for part in parts:
        own, labels = [names[place] for place in part.places], embedder.label_names(part.labels)
        shown = part.places % projector.every == 0
        points = [(own[row], labels[row] or "") for row in shown.nonzero()[0]]
        projector.add(points, part.features[shown], part.small)
        yield FeatureTable(own, labels, part.features)
