"""Training batches: a function of the seed and the step, complete in every epoch."""

from __future__ import annotations

import numpy as np
import pytest

import simclr_tf  # noqa: F401  (chooses the Keras that TensorFlow loads)

import tensorflow as tf  # isort: skip

from simclr_tf import data
from simclr_tf.augmentation import SimCLRViews, ViewPipeline
from simclr_tf.data import reading, sharding, train_pipeline
from simclr_tf.errors import SettingError

BOTH = pytest.mark.parametrize("cache", [False, True], ids=["uncached", "cached"])
# One size in one file, one size in five files, and different sizes.
ALL = pytest.mark.parametrize("name", ["digits", "made_files", "made_varied"])


class Describe:
    """A transform that shows what it was given: int64 [b, 3], two seeds and a sum of pixels."""

    def in_batches(self, height: int, width: int) -> bool:
        return True

    def prepare(self, images: tf.Tensor, seeds: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"views": describe(images, seeds)}

    def prepare_one(self, image: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"views": describe(image[tf.newaxis], seed[tf.newaxis])[0]}


def describe(images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
    assert images.dtype == tf.uint8
    assert seeds.dtype == tf.int32
    assert images.shape[-1] == 3
    total = tf.reduce_sum(tf.cast(images, tf.int64), axis=(1, 2, 3))
    return tf.concat([tf.cast(seeds, tf.int64), total[:, tf.newaxis]], axis=1)


def run(dataset, context=None, steps: int = 10, **kwargs) -> np.ndarray:
    """Returns int64 [examples, 4] of a host's stream: two seeds, sum of pixels, label."""
    context = context or tf.distribute.InputContext(1, 0, 1)
    options = {
        "split": "train",
        "global_batch_size": 6,
        "transform": Describe(),
        "cache": False,
        "seed": 3,
        **kwargs,
    }
    batches = data.train_input_fn(dataset, **options)(context)
    per_step = context.num_replicas_in_sync // context.num_input_pipelines
    rows = []
    for batch in batches.take(steps * per_step):
        assert batch["label"].dtype == tf.int64
        assert len(batch["label"]) == options["global_batch_size"] // context.num_replicas_in_sync
        rows.append(np.concatenate([batch["views"], batch["label"][:, None]], axis=1))
    return np.concatenate(rows)


@ALL
@BOTH
def test_each_epoch_holds_every_example_once_in_a_new_order(load_made, name, cache):
    dataset = load_made(name)
    split = "train[:40]" if name == "digits" else "train"
    count = dataset.num_examples(split)
    rows = run(dataset, split=split, cache=cache, steps=3 * count // 6)
    epochs = [rows[i * count : (i + 1) * count, 2:].tolist() for i in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1])
    assert epochs[0] != epochs[1]
    if name != "digits":
        assert sorted(row[1] for row in epochs[0]) == list(range(count))


@ALL
@BOTH
def test_resumed_equals_uninterrupted(load_made, name, cache):
    dataset = load_made(name)
    # A small buffer too: the order must not depend on what was read before.
    for options in ({}, {"shuffle_buffer": 7}):
        options = {
            "cache": cache,
            "split": "train[:37]" if name == "digits" else "train",
            **options,
        }
        whole = run(dataset, steps=20, **options)
        # Within the first epoch and a boundary ahead; past several, once.
        for start in (5,) if "shuffle_buffer" in options else (5, 13):
            resumed = run(dataset, steps=20 - start, start_step=start, **options)
            np.testing.assert_array_equal(resumed, whole[6 * start :])


@BOTH
def test_order_depends_on_the_seed_alone(load_made, cache):
    dataset = load_made("made_files")
    first = run(dataset, cache=cache)
    tf.random.set_seed(99)
    np.testing.assert_array_equal(run(dataset, cache=cache), first)
    other = run(dataset, cache=cache, seed=4)
    assert (other[:, 3] != first[:, 3]).any()
    assert not set(map(tuple, other[:, :2])) & set(map(tuple, first[:, :2]))


@ALL
def test_replicas_share_one_stream(load_made, contexts, name):
    dataset = load_made(name)
    (three,) = contexts(1, 3)
    np.testing.assert_array_equal(run(dataset, three), run(dataset))


@pytest.mark.parametrize(("name", "count"), [("made_files", 37), ("made_varied", 23)])
@pytest.mark.parametrize("pipelines", [2, 3])
@BOTH
def test_hosts_share_out_the_examples(load_made, contexts, name, count, pipelines, cache):
    dataset = load_made(name)
    hosts = [
        run(dataset, context, steps=20, cache=cache) for context in contexts(pipelines, pipelines)
    ]
    sizes = [len(range(index, count, pipelines)) for index in range(pipelines)]
    for epoch in range(2):
        shares = [host[epoch * size :][:size, 3] for host, size in zip(hosts, sizes, strict=True)]
        assert sorted(np.concatenate(shares)) == list(range(count))
    every_seed = np.concatenate([host[:, :2] for host in hosts])
    assert len(np.unique(every_seed, axis=0)) == len(every_seed)


def test_image_seeds_follow_the_global_position(load_made, contexts):
    dataset = load_made("made_files")
    for index, context in enumerate(contexts(2, 4)):
        rows = run(dataset, context, steps=5, global_batch_size=8, start_step=3)
        positions = (12 + np.arange(20)) * 2 + index
        expected = data.position_seeds(3, tf.constant(positions, tf.int64))
        np.testing.assert_array_equal(rows[:, :2], expected)


@ALL
def test_cache_reads_the_data_once(load_made, name, monkeypatch):
    reads = []

    def count(label: np.ndarray) -> np.ndarray:
        reads.append(int(label))
        return label

    def counted(*args, **kwargs):
        def note(example):
            label = tf.numpy_function(count, [example["label"]], tf.int64)
            return {**example, "label": tf.ensure_shape(label, ())}

        return read_examples(*args, **kwargs).map(note)

    read_examples = reading.read_examples
    monkeypatch.setattr(reading, "read_examples", counted)
    run(load_made(name), cache=True, split="train[:20]", steps=15, start_step=2)
    assert len(reads) == 20
    reads.clear()
    monkeypatch.setattr(train_pipeline, "_CACHED", 20 * 8 * 8 - 1)
    run(load_made(name), cache=False, split="train[:20]", steps=15, start_step=2)
    assert len(reads) > 60
    reads.clear()
    monkeypatch.setattr(train_pipeline, "_CACHED", 20 * 8 * 8)
    run(load_made(name), cache=False, split="train[:20]", steps=15, start_step=2)
    if name == "digits":  # one size in one file
        assert len(reads) == 20
    else:
        assert len(reads) > 60


def test_caching_unasked_changes_no_batch(load_made, monkeypatch):
    options = {"split": "train[:37]", "shuffle_buffer": 7, "steps": 20, "start_step": 4}
    cached = run(load_made("digits"), **options)
    monkeypatch.setattr(train_pipeline, "_CACHED", 0)
    np.testing.assert_array_equal(cached, run(load_made("digits"), **options))


@pytest.mark.parametrize(
    ("sizes", "hosts", "by_file"),
    [
        ([100] * 8, 4, True),
        ([100] * 5, 2, False),  # 300 and 200: images of the second were seen half as often again
        ([100] * 301, 2, True),
        ([100, 101, 100, 100], 2, True),
        ([100, 150, 100, 50], 2, True),
        ([100, 150, 100, 150], 2, False),
        ([100], 2, False),
        ([100] * 4, 1, False),
    ],
)
def test_whole_files_are_shared_out_if_that_is_fair(load_made, monkeypatch, sizes, hosts, by_file):
    dataset = load_made("made_files")
    monkeypatch.setattr(type(dataset), "file_sizes", lambda self, split: sizes)
    assert sharding.can_shard_by_file(dataset, "train", hosts) == by_file


class OneByOne(Describe):
    def in_batches(self, height: int, width: int) -> bool:
        return (height, width) != (8, 8)


def test_images_of_one_size_may_be_taken_one_by_one(load_made):
    options = {"split": "train[:37]", "steps": 8}
    expected = run(load_made("digits"), **options)
    output = run(load_made("digits"), transform=OneByOne(), **options)
    np.testing.assert_array_equal(output, expected)


@pytest.mark.parametrize("name", ["digits", "made_varied"])
def test_first_batch_is_noted_and_passes_unchanged(load_made, name):
    first = data.FirstBatch(3, leave_out=("label",))
    assert first.take() == {}
    options = {"split": "train[:20]", "global_batch_size": 6, "cache": False, "seed": 3}
    input_fn = data.train_input_fn(load_made(name), transform=Describe(), **options)
    context = tf.distribute.InputContext(1, 0, 1)
    expected = [batch["views"].numpy() for batch in input_fn(context).take(3)]
    passed = [batch["views"].numpy() for batch in first.watching(input_fn)(context).take(3)]
    np.testing.assert_array_equal(passed, expected)
    noted = first.take()
    assert noted.keys() == {"views"}
    np.testing.assert_array_equal(noted["views"], expected[0][:3])
    list(first.watching(input_fn)(tf.distribute.InputContext(2, 1, 2)).take(1))
    assert first.take() == {}


@pytest.mark.parametrize("name", ["digits", "made_varied"])
def test_a_few_images_of_the_first_step_are_its_first(load_made, monkeypatch, name):
    """Not those of a smaller batch, whose shuffle buffer is smaller, too."""
    monkeypatch.setattr(train_pipeline, "_WINDOW", 3)
    monkeypatch.setattr(train_pipeline, "_WINDOW_BATCHES", 1)
    monkeypatch.setattr(train_pipeline, "_SMALL_SIDE", 0)
    options = {"split": "train[:20]", "batch_size": 12, "seed": 5}
    whole = data.sample_images(load_made(name), **options)
    few = data.sample_images(load_made(name), most=4, **options)
    assert (len(whole), len(few)) == (12, 4)
    for (image, seed), (expected, its_seed) in zip(few, whole):
        np.testing.assert_array_equal(image, expected)
        np.testing.assert_array_equal(seed, its_seed)


def test_a_batch_may_exceed_the_data(load_made):
    rows = run(load_made("made_varied"), steps=1, global_batch_size=69)
    np.testing.assert_array_equal(np.bincount(rows[:, 3]), np.full(23, 3))


def test_no_labels(load_made):
    rows = run(load_made("made_varied_gray"))
    assert set(rows[:, 3]) == {-1}


@pytest.mark.parametrize("on_device", [False, True], ids=["host", "device"])
def test_what_reaches_the_training_step(load_made, on_device):
    """Float views, or bytes of fixed shapes: whole images of one size, crops of others."""
    views = SimCLRViews(5, color_jitter_strength=0, use_blur=False)
    float_views = {"views": tf.TensorSpec((4, 2, 5, 5, 3), tf.float32)}
    seeds = tf.TensorSpec((4, 2), tf.int32)
    for name in ("made_files", "made_varied"):
        loaded = load_made(name)
        dataset = data.train_input_fn(
            loaded,
            split="train",
            global_batch_size=8,
            transform=ViewPipeline(views, on_device=on_device),
            cache=True,
            seed=0,
        )(tf.distribute.InputContext(1, 0, 2))
        expected = float_views
        if on_device and loaded.has_static_size:
            shape = (4, *loaded.image_shape[:2], 3)
            expected = {"images": tf.TensorSpec(shape, tf.uint8), "seeds": seeds}
        elif on_device:
            expected = {"crops": tf.TensorSpec((4, 2, 5, 5, 3), tf.uint8), "seeds": seeds}
        assert dataset.element_spec == {**expected, "label": tf.TensorSpec((4,), tf.int64)}


def test_pipelines_are_not_tuned(load_made):
    """The thread that tunes can miss that a pipeline is closed; see `data/reading.py`."""
    dataset, context = load_made("digits"), tf.distribute.InputContext(1, 0, 1)
    settings = {"split": "train", "global_batch_size": 4}
    for batches in (
        data.train_input_fn(dataset, **settings, transform=Describe(), cache=False, seed=0)(
            context
        ),
        data.eval_input_fn(dataset, **settings, image_size=8)(context),
    ):
        options = batches.options()
        assert options.autotune.enabled is False and options.deterministic is True


def test_default_shuffle_buffer():
    buffer = train_pipeline.default_shuffle_buffer
    assert buffer((32, 32, 3), 50_000, 512) == 50_000
    assert buffer((32, 32, 3), 600_000, 512) == 10_000
    assert buffer((224, 224, 3), 50_000, 512) == 10_000
    assert buffer((None, None, 3), 1_281_167, 4096) == 40_960
    assert buffer((None, None, 3), 900, 4096) == 900


def test_errors(load_made, contexts):
    dataset = load_made("made_varied_gray")
    with pytest.raises(SettingError, match="`train_batch_size=6` .* multiple of 4"):
        run(dataset, contexts(1, 4)[0])
    with pytest.raises(SettingError, match=r"`train_split=train\[:1\]` .* 2 hosts"):
        run(dataset, contexts(2, 2)[1], split="train[:1]")
    with pytest.raises(SettingError, match="`train_split=test`: .*train"):
        run(dataset, split="test")


def test_fashion_mnist(fashion_dir):
    dataset = data.load("fashion_mnist", data_dir=fashion_dir)
    options = {"split": "train[:1%]+test[:400]", "global_batch_size": 100, "cache": True}
    rows = run(dataset, steps=20, **options)
    assert sorted(map(tuple, rows[:1000, 2:])) == sorted(map(tuple, rows[1000:, 2:]))
    np.testing.assert_array_equal(run(dataset, steps=7, start_step=13, **options), rows[1300:])
