"""Opens image data sets by name: TFDS's, the bundled digits, or a folder of pictures."""

from __future__ import annotations

import os

import tensorflow_datasets as tfds

from simclr_tf import paths
from simclr_tf.data import folder, preparation
from simclr_tf.data.image_dataset import ImageDataset
from simclr_tf.data.tfds_dataset import TfdsDataset, check_features
from simclr_tf.errors import SettingError


def short_name(name: str) -> str:
    """Returns a data set's name as part of a file's name; of `folder:PATH` the folder's own."""
    if name.startswith(folder.PREFIX):
        return paths.last_name(name.removeprefix(folder.PREFIX)) or "root"
    return name


def load(
    name: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    folder_labels: str = "none",
    on_bad_image: str = "skip",
    split_folders: bool | None = None,
) -> ImageDataset:
    """Opens an image data set, preparing it first where it is not there yet.

    Args:
      name: a TFDS name, `name[/config][:version]`; `digits` needs no download. Or `folder:PATH`, a
        tree of picture files, local or `gs://`.
      data_dir: folder that holds `<name>/`, local or `gs://`; None means TFDS's own default
        (`$TFDS_DATA_DIR`, else `~/tensorflow_datasets`). Written to only for preparing.
      folder_labels: where the labels of `folder:PATH` come from; see `folder_labels.py`.
      on_bad_image: what to do about files of `folder:PATH` that cannot be read: `skip` or `fail`.
      split_folders: whether folders such as `train` and `test` in `folder:PATH` are the splits;
        None where their names are to say so.

    Returns:
      The data set, ready to be read.

    Raises:
      SettingError: whatever is in the way.
    """
    if name.startswith(folder.PREFIX):
        return folder.open_folder(
            name, labels=folder_labels, on_bad_image=on_bad_image, split_folders=split_folders
        )
    root = _find_data_dir(data_dir)
    builder = preparation.find_builder(name, root)
    # Before preparing: nobody should download a text corpus to be told that it has no images.
    check_features(name, builder.info.features)
    builder = preparation.prepare(builder, name, root)
    if not builder.info.splits:
        raise SettingError(
            "dataset",
            name,
            f": {builder.data_path} holds no prepared data set",
            "delete it to have it prepared anew, or give another `data_dir`",
        )
    return TfdsDataset(name=name, builder=builder)


def _find_data_dir(given: str | os.PathLike[str] | None) -> str | None:
    """Returns the folder that holds prepared data; None for TFDS's default, where that works.

    TFDS by itself would make a folder called ~ where `$TFDS_DATA_DIR` begins so.
    """
    default = tfds.core.constants.DATA_DIR
    plain = paths.clean(os.fspath(given or default), "data_dir")
    return paths.absolute(plain) if given or plain != default else None
