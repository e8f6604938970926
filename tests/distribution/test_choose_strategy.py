"""The strategy fits the machine, and a TPU that is not there is told soon and in one line.

MirroredStrategy is tested in test_two_replicas.py.
"""

import socket
import time

import pytest

import simclr_tf  # noqa: F401  (chooses the Keras that TensorFlow loads)

import tensorflow as tf  # isort: skip

from simclr_tf.distribution import choose_strategy
from simclr_tf.errors import UserError

needs_no_accelerator = pytest.mark.skipif(
    bool(tf.config.list_physical_devices("GPU") or tf.config.list_physical_devices("TPU")),
    reason="this machine has an accelerator",
)


@needs_no_accelerator
def test_one_cpu_needs_no_collectives():
    strategy = choose_strategy()
    assert isinstance(strategy, tf.distribute.OneDeviceStrategy)
    assert strategy.num_replicas_in_sync == 1
    with strategy.scope():
        assert "CPU" in tf.Variable(0.0).device


@needs_no_accelerator
def test_named_strategies():
    assert isinstance(choose_strategy("one_device"), tf.distribute.OneDeviceStrategy)
    mirrored = choose_strategy("mirrored")
    assert isinstance(mirrored, tf.distribute.MirroredStrategy)
    assert mirrored.num_replicas_in_sync == 1


@needs_no_accelerator
def test_cpu_is_split_before_tensorflow_runs_only():
    tf.constant(0)
    with pytest.raises(UserError, match="`num_virtual_devices=3` must be set before"):
        choose_strategy(num_virtual_devices=3)


@needs_no_accelerator
@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ({}, "on this machine"),
        ({"master": "grpc://127.0.0.1:9"}, "`tpu_name=grpc://127.0.0.1:9`"),
        ({"tpu_name": "no-such-tpu"}, "`tpu_name=no-such-tpu`"),
        (
            {"tpu_name": "no-such-tpu", "tpu_zone": "europe-west4-a", "gcp_project": "p"},
            "`tpu_name=no-such-tpu`",
        ),
    ],
    ids=["this machine", "address", "name", "name, zone and project"],
)
def test_missing_tpu_is_one_clear_line_and_soon(arguments, place, monkeypatch):
    monkeypatch.delenv("TPU_NAME", raising=False)
    before = socket.getdefaulttimeout()
    start = time.monotonic()
    with pytest.raises(UserError) as error:
        choose_strategy("tpu", **arguments)
    assert time.monotonic() - start < 30
    message = str(error.value)
    assert place in message
    assert "`use_tpu`" in message
    assert len(message.splitlines()) == 1
    assert socket.getdefaulttimeout() == before


def test_tpu_that_answers_is_connected_reset_and_used(monkeypatch):
    calls = []

    class Resolver:
        def __init__(self, name, zone, project):
            calls.append(("resolve", name, zone, project))

        def cluster_spec(self):
            return tf.train.ClusterSpec({"worker": [f"127.0.0.1:{server.getsockname()[1]}"]})

    def record(name):
        return lambda resolver: calls.append((name, type(resolver))) or name

    monkeypatch.setattr(tf.distribute.cluster_resolver, "TPUClusterResolver", Resolver)
    monkeypatch.setattr(tf.config, "experimental_connect_to_cluster", record("connect"))
    monkeypatch.setattr(tf.tpu.experimental, "initialize_tpu_system", record("reset"))
    monkeypatch.setattr(tf.distribute, "TPUStrategy", record("strategy"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        strategy = choose_strategy(
            "tpu", tpu_name="mine", tpu_zone="z", gcp_project="p", master="not used"
        )
    assert strategy == "strategy"
    assert calls == [
        ("resolve", "mine", "z", "p"),
        ("connect", Resolver),
        ("reset", Resolver),
        ("strategy", Resolver),
    ]


def test_tpu_name_of_the_environment_is_used(monkeypatch):
    monkeypatch.setenv("TPU_NAME", "grpc://127.0.0.1:9")
    with pytest.raises(UserError, match="127.0.0.1:9"):
        choose_strategy("tpu")
