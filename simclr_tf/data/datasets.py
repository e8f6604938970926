"""Opens image data sets by name: TFDS's, or the bundled digits."""

from __future__ import annotations

import os

from simclr_tf.data import preparation
from simclr_tf.data.image_dataset import ImageDataset
from simclr_tf.data.tfds_dataset import TfdsDataset, check_features
from simclr_tf.errors import UserError


def load(name: str, *, data_dir: str | os.PathLike[str] | None = None) -> ImageDataset:
    """Opens an image data set, preparing it first where it is not there yet.

    Args:
      name: a TFDS name, `name[/config][:version]`; `digits` needs no download.
      data_dir: folder that holds `<name>/`, local or `gs://`; None means TFDS's own default
        (`$TFDS_DATA_DIR`, else `~/tensorflow_datasets`). Written to only for preparing.

    Returns:
      The data set, ready to be read.

    Raises:
      UserError: one line naming flag and remedy, whatever is in the way.
    """
    root = os.path.expanduser(os.fspath(data_dir)) if data_dir else None
    builder = preparation.find_builder(name, root)
    # Before preparing: nobody should download a text corpus to be told that it has no images.
    check_features(name, builder.info.features)
    builder = preparation.prepare(builder, name, root)
    if not builder.info.splits:
        raise UserError(
            f"--dataset={name}: {builder.data_path} holds no prepared data set; "
            "delete it to have it prepared anew, or give another --data_dir"
        )
    return TfdsDataset(name=name, builder=builder)
