"""Opens TensorFlow checkpoint files, damaged ones too: an error is one line, never a crash."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import trackable_object_graph_pb2

from simclr_tf.errors import UserError, first_line
from simclr_tf.paths import readable


class NotFinite(UserError):
    """A checkpoint of a network that has diverged."""


UNREADABLE = (tf.errors.OpError, ValueError, RuntimeError, IndexError, MemoryError, DecodeError)
"""What TensorFlow raises for a checkpoint that is damaged or cut short."""

OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"

_FOOTER = 48  # bytes: two block handles of two varints each, padding, and 8 bytes of magic number


@contextlib.contextmanager
def errors_naming(prefix: str) -> Iterator[None]:
    """Turns what TensorFlow raises for a damaged checkpoint into a UserError that names it."""
    try:
        yield
    except UNREADABLE as error:
        raise UserError(
            f"checkpoint {prefix} cannot be read ({first_line(error)}); it is damaged or "
            "incomplete, copy it again"
        ) from None


def open_reader(prefix: str) -> Any:
    """Returns TensorFlow's checkpoint reader.

    Raises:
      UserError: the checkpoint cannot be read.
    """
    with errors_naming(prefix):
        _check_footer(f"{prefix}.index")
        # Not tf.train.load_checkpoint, which takes what some file systems call a folder for one.
        return tf.compat.v1.train.NewCheckpointReader(readable(prefix))


def check_whole(prefix: str) -> None:
    """Reads all of a checkpoint, which compares the checksum of each part.

    Raises:
      UserError: it cannot be read.
      NotFinite: it holds values that are no numbers.
    """
    reader = open_reader(prefix)
    with errors_naming(prefix):
        for key in reader.get_variable_to_shape_map():
            value = np.asarray(reader.get_tensor(key))
            if tf.as_dtype(value.dtype).is_floating and not np.isfinite(value).all():
                raise NotFinite(f"checkpoint {prefix} holds values that are no numbers ({key})")


def object_graph(reader: Any, prefix: str) -> Any:
    """Returns the TrackableObjectGraph of a checkpoint, None for one of TensorFlow 1.

    Raises:
      UserError: it cannot be read.
    """
    if not reader.has_tensor(OBJECT_GRAPH):
        return None
    graph = trackable_object_graph_pb2.TrackableObjectGraph()
    with errors_naming(prefix):
        graph.ParseFromString(reader.get_tensor(OBJECT_GRAPH))
    if not graph.nodes:
        raise UserError(f"checkpoint {prefix} holds no objects; give another `checkpoint`")
    return graph


def _check_footer(path: str) -> None:
    """Raises ValueError if a block of the index would lie outside it.

    TensorFlow believes the footer, the one part without a checksum, and allocates what it says.
    """
    with tf.io.gfile.GFile(path, "rb") as file:
        size = file.size()
        if size < _FOOTER:
            raise ValueError("the index is cut short")
        file.seek(size - _FOOTER)
        footer = file.read(_FOOTER)
    position = 0
    for _ in range(2):
        offset, position = _varint(footer, position)
        length, position = _varint(footer, position)
        if offset + length > size:
            raise ValueError("the index points outside itself")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("the index is damaged")
