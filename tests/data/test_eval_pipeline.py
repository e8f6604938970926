"""Evaluation sees every example exactly once, however many hosts and replicas share the work."""

from __future__ import annotations

import numpy as np
import pytest

from simclr_tf import data
from simclr_tf.errors import SettingError


def run(dataset, contexts, pipelines: int = 1, replicas: int = 1, **kwargs):
    """Returns a list of batches of every host."""
    input_fn = data.eval_input_fn(dataset, **{"split": "train", "image_size": 8, **kwargs})
    return [
        [{k: v.numpy() for k, v in batch.items()} for batch in input_fn(context)]
        for context in contexts(pipelines, replicas)
    ]


def seen_labels(hosts) -> list[int]:
    batches = [batch for host in hosts for batch in host]
    return sorted(int(x) for b in batches for x in b["label"][b["weight"] > 0])


@pytest.mark.parametrize("name", ["made_files", "made_varied"])
@pytest.mark.parametrize(
    ("batch", "pipelines", "replicas"),
    [(1, 1, 1), (8, 1, 2), (10, 1, 1), (64, 1, 4), (12, 3, 6), (48, 2, 48), (4, 2, 2)],
)
def test_every_example_exactly_once(load_made, contexts, name, batch, pipelines, replicas):
    dataset = load_made(name)
    count = dataset.num_examples("train")
    hosts = run(dataset, contexts, pipelines, replicas, global_batch_size=batch)
    assert seen_labels(hosts) == list(range(count))
    steps = data.eval_steps(count, batch)
    for host in hosts:
        assert len(host) == steps * replicas // pipelines
        for b in host:
            assert b["image"].shape == (batch // replicas, 8, 8, 3)
            assert b["image"].dtype == b["weight"].dtype == np.float32
            assert b["label"].dtype == np.int64
            assert set(b["weight"]) <= {0.0, 1.0}
            assert not b["image"][b["weight"] == 0].any()
            assert not b["label"][b["weight"] == 0].any()


@pytest.mark.parametrize("name", ["made_files", "made_varied", "made_varied_gray"])
def test_images_are_preprocessed_and_matched(load_made, contexts, name):
    ((*batches,),) = run(load_made(name), contexts, global_batch_size=5)
    for b in batches:
        real = b["weight"] > 0
        # Image i of the made data sets has color i throughout.
        color = np.round(b["image"].mean(axis=(1, 2, 3)) * 255)[real]
        if name == "made_varied_gray":
            assert set(b["label"][real]) == {-1}
        else:
            np.testing.assert_array_equal(color, b["label"][real])


@pytest.mark.parametrize("name", ["made_files", "made_varied"])
def test_order_is_the_same_every_time(load_made, name, contexts):
    input_fn = data.eval_input_fn(
        load_made(name), split="train", global_batch_size=10, image_size=8
    )
    (context,) = contexts(1, 1)
    dataset = input_fn(context)
    passes = [
        np.concatenate([b["label"] for b in d]) for d in (dataset, dataset, input_fn(context))
    ]
    np.testing.assert_array_equal(passes[0], passes[1])
    np.testing.assert_array_equal(passes[0], passes[2])


def test_max_steps_takes_the_same_examples_on_any_number_of_hosts(load_made, contexts):
    dataset = load_made("made_files")
    options = {"global_batch_size": 12, "max_steps": 2}
    one = run(dataset, contexts, **options)
    three = run(dataset, contexts, 3, 6, **options)
    assert len(one[0]) == 2
    assert [len(host) for host in three] == [4, 4, 4]
    assert len(seen_labels(one)) == 24
    assert seen_labels(three) == seen_labels(one)


def test_eval_steps():
    assert data.eval_steps(10_000, 256) == 40
    assert data.eval_steps(512, 256) == 2
    assert data.eval_steps(1, 256) == 1
    assert data.eval_steps(10_000, 256, max_steps=3) == 3
    assert data.eval_steps(512, 256, max_steps=100) == 2
    assert data.eval_steps(512, 256, max_steps=0) == 2


def test_indivisible_batch_and_bad_split(load_made, contexts):
    with pytest.raises(SettingError, match="`eval_batch_size=10` .* multiple of 4"):
        run(load_made("digits"), contexts, 1, 4, global_batch_size=10)
    with pytest.raises(SettingError, match="`eval_split=validation`: .*test"):
        run(load_made("digits"), contexts, split="validation", global_batch_size=10)


def test_fashion_mnist(fashion_dir, contexts):
    dataset = data.load("fashion_mnist", data_dir=fashion_dir)
    hosts = run(dataset, contexts, 2, 4, split="test[:1000]", global_batch_size=96, image_size=32)
    labels = seen_labels(hosts)
    assert len(labels) == 1000
    assert set(labels) == set(range(10))
