"""Without several replicas the collectives do nothing."""

import numpy as np

import simclr_tf  # noqa: F401  (chooses the Keras that TensorFlow loads)

import tensorflow as tf  # isort: skip

from simclr_tf.distribution import gather_replicas, replica_offset, replica_share

ROWS = tf.constant([[1.0, 2.0], [3.0, 4.0]])


def collect():
    return gather_replicas(ROWS), replica_offset(2), replica_share(2), replica_share(0)


def check(gathered, offset, share, share_of_nothing):
    np.testing.assert_array_equal(gathered, ROWS)
    assert (int(offset), float(share), float(share_of_nothing)) == (0, 1.0, 0.0)


def test_without_a_strategy():
    check(*collect())


def test_with_one_replica():
    check(*tf.distribute.OneDeviceStrategy("/cpu:0").run(collect))


def test_in_cross_replica_context():
    with tf.distribute.OneDeviceStrategy("/cpu:0").scope():
        check(*collect())
