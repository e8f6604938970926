"""A folder of pictures: what is listed, how it is split, what is read, and what is said."""

from __future__ import annotations

import logging
import os
import unicodedata

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from simclr_tf import data
from simclr_tf.data import folder_files, folder_splits
from simclr_tf.errors import SettingError, UserError

COUNT = 40


def draw(path, color: int, size: tuple[int, int] = (6, 5)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (color,) * 3).save(path, lossless=True)


@pytest.fixture
def pictures(tmp_path):
    """40 pictures in two folders, of colors 0 to 39, of different sizes."""
    root = tmp_path / "pictures"
    for number in range(COUNT):
        kind = ("png", "bmp", "webp", "gif")[number % 4]
        suffix = ".PNG" if kind == "png" else f".{kind}"
        draw(root / ("odd" if number % 2 else "even") / f"{number:02}{suffix}", number,
             (5 + number, 9))  # fmt: skip
    return root


def load(root, labels: str = "none", **kwargs) -> data.ImageDataset:
    return data.load(f"folder:{root}", folder_labels=str(labels), **kwargs)


def colors(images: np.ndarray) -> np.ndarray:
    return np.round(np.asarray(images, np.float64).reshape(len(images), -1).mean(axis=1)).astype(
        int
    )


class Shrink:
    """A transform for images of different sizes."""

    def prepare_one(self, image, seed):
        return {"image": tf.image.resize(tf.cast(image, tf.float32), (4, 4))}


def train(dataset, steps, context=None, **kwargs) -> np.ndarray:
    """Returns [images, 2] of a host's stream: color and label."""

    options = {"split": "all", "global_batch_size": 8, "cache": False, "seed": 1, **kwargs}
    input_fn = data.train_input_fn(dataset, transform=Shrink(), **options)
    batches = list(input_fn(context or tf.distribute.InputContext(1, 0, 1)).take(steps))
    shown = np.concatenate([colors(batch["image"]) for batch in batches])
    return np.stack([shown, np.concatenate([batch["label"] for batch in batches])], axis=1)


def evaluate(dataset, context=None, **kwargs) -> list[dict[str, np.ndarray]]:
    options = {"split": "all", "global_batch_size": 8, "image_size": 4, **kwargs}
    input_fn = data.eval_input_fn(dataset, **options)
    batches = input_fn(context or tf.distribute.InputContext(1, 0, 1))
    return [{key: value.numpy() for key, value in batch.items()} for batch in batches]


def seen(batches) -> list[int]:
    rows = [(colors(b["image"] * 255), b["weight"] > 0) for b in batches]
    return sorted(int(c) for shown, real in rows for c in shown[real])


def test_what_a_folder_is(pictures):
    dataset = load(pictures)
    assert dataset.name == f"folder:{pictures}"
    assert (dataset.num_classes, dataset.class_names) == (None, None)
    assert dataset.image_shape == (None, None, 3)
    assert set(dataset.splits) == {"train", "validation"}
    assert dataset.num_examples("all") == dataset.num_examples("train+validation") == COUNT
    half = dataset.num_examples("train[:50%]")
    assert half == pytest.approx(dataset.splits["train"] / 2, abs=1)


@pytest.mark.parametrize("split", ["test", "train[:0]", "train[:", "all[:10%]", "train[999:]"])
def test_bad_splits_say_what_there_is(pictures, split):
    with pytest.raises(SettingError) as caught:
        load(pictures).check_split(split, field="eval_split")
    message = str(caught.value)
    assert (caught.value.field, caught.value.value) == ("eval_split", split)
    assert f"folder:{pictures} has train (" in message
    assert "validation (" in message
    assert "\n" not in message


def test_listing(tmp_path):
    for name in ("a.JPG", "b.jpeg", "ü 1.png", "deep/er/c.WebP", "d.gif", "e.bmp"):
        draw(tmp_path / "other" / "x.png", 1)
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / name).touch()
    for name in ("notes.txt", ".hidden.png", ".hidden/f.png", "png", "Thumbs.db", "g.png/h.jpg"):
        (tmp_path / "root" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "root" / name).touch()
    root = tmp_path / "root"
    (root / "deep" / "up").symlink_to(root)
    (root / "deep" / "er" / "across").symlink_to(tmp_path / "other")
    (tmp_path / "other" / "back").symlink_to(root / "deep")
    (root / "link.png").symlink_to(tmp_path / "other" / "x.png")
    (root / "self.png").symlink_to(root / "self.png")
    expected = ["a.JPG", "b.jpeg", "d.gif", "deep/er/across/x.png", "deep/er/c.WebP", "e.bmp",
                "g.png/h.jpg", "link.png", "self.png", "ü 1.png"]  # fmt: skip
    listing = folder_files.list_files("folder:x", str(root))
    assert sorted(listing.paths) == expected
    assert listing.left_out == {".txt": 1, "": 1}


def test_remote_folders():
    for name in ("a.png", "b/c.JPG", ".d/e.png", "f.txt"):
        tf.io.gfile.makedirs(os.path.dirname(f"ram://pictures/{name}"))
        with tf.io.gfile.GFile(f"ram://pictures/{name}", "w") as file:
            file.write("x")
    listing = folder_files.list_files("x", "ram://pictures/")
    assert (sorted(listing.paths), listing.left_out) == (["a.png", "b/c.JPG"], {".txt": 1})


def test_buckets_are_listed_without_a_question_for_each_file(monkeypatch):
    folders = {
        "": ["a.png", "b/", "f.txt", ".d/", "odd.png/"],
        "/b": ["c.JPG", "deep/"],
        "/b/deep": ["g"],
        "/odd.png": ["e.gif"],
    }
    asked = []
    gfile = {
        "exists": lambda path: True,
        "isdir": lambda path: asked.append(path) or True,
        "listdir": lambda path: folders[path.removeprefix("gs://bucket").rstrip("/")],
    }
    for name, function in gfile.items():
        monkeypatch.setattr(tf.io.gfile, name, function)
    listing = folder_files.list_files("x", "gs://bucket/")
    assert sorted(listing.paths) == ["a.png", "b/c.JPG", "odd.png/e.gif"]
    assert listing.left_out == {".txt": 1, "": 1}
    assert asked == ["gs://bucket/"]


def test_no_pictures(tmp_path):
    (tmp_path / "notes.txt").touch()
    for root, reason in [
        (tmp_path, "no pictures in"),
        (tmp_path / "none", "does not exist"),
        (tmp_path / "notes.txt", "is a file"),
        ("", "is empty"),
    ]:
        with pytest.raises(SettingError, match=f"^`dataset=folder:.*`:? .*{reason}.*; [^\n]*$"):
            load(root)


def test_split_is_stable_and_a_tenth():
    paths = [f"folder {i % 7}/ü{i}.jpg" for i in range(50_000)]
    train_split, validation = folder_splits.split_by_hash(paths).values()
    # Four standard deviations of a binomial draw.
    assert len(validation) == pytest.approx(5000, abs=4 * np.sqrt(50_000 * 0.1 * 0.9))
    assert sorted(train_split + validation) == sorted(paths)
    kept = set(paths[::3])
    fewer = folder_splits.split_by_hash(paths[::3])
    assert set(fewer["train"]) <= set(train_split)
    assert fewer["validation"] == [path for path in validation if path in kept]
    # Slices are fair: every folder has its seventh of the first tenth of train.
    shares = np.bincount([int(path[7]) for path in train_split[:4500]]) / 4500
    np.testing.assert_allclose(shares, 1 / 7, atol=4 * np.sqrt(1 / 7 * 6 / 7 / 4500))
    assert folder_splits.split_by_hash(["a.jpg", "b.jpg", "r.jpg"]) == (
        folder_splits.split_by_hash(["r.jpg", "b.jpg", "a.jpg"])
    )


def test_labels_from_folders(pictures):
    dataset = load(pictures, "folders")
    assert (dataset.class_names, dataset.num_classes) == (["even", "odd"], 2)
    dataset.check_labels("all")
    rows = train(dataset, 5)
    np.testing.assert_array_equal(rows[:, 1], rows[:, 0] % 2)
    assert set(train(load(pictures), 5)[:, 1]) == {-1}
    draw(pictures / "0.png", 3)
    shown = train(load(pictures, "folders"), 6, global_batch_size=7)
    assert [label for color, label in shown if color == 3].count(-1) == 1
    assert list(shown[:, 1]).count(-1) == 1


def test_no_labels(pictures, tmp_path):
    with pytest.raises(SettingError, match="no class labels; .*`folder_labels=folders`"):
        load(pictures).check_labels("train")
    with pytest.raises(SettingError, match="none in a folder below that names"):
        load(pictures / "odd", "folders")


def test_labels_from_csv(pictures, tmp_path):
    file = tmp_path / "labels.csv"
    paths = sorted(path.relative_to(pictures) for path in pictures.rglob("*.*"))
    rows = [f'./{path},"n, {int(path.stem) % 3}"' for path in paths]
    file.write_text("\ufeffpath,label\r\n" + "\r\n".join([*rows, "gone.png,n", ""]), "utf-8")
    dataset = load(pictures, file)
    assert dataset.class_names == ["n, 0", "n, 1", "n, 2"]
    dataset.check_labels("all")
    shown = train(dataset, 5)
    np.testing.assert_array_equal(shown[:, 1], shown[:, 0] % 3)


@pytest.fixture
def partly(pictures, tmp_path):
    """The pictures with labels for every third of them: 14 of 40, of the classes "0" and "1"."""
    paths = sorted(path.relative_to(pictures) for path in pictures.rglob("*.*"))
    rows = [f"{path},{int(path.stem) % 2}\n" for path in paths if int(path.stem) % 3 == 0]
    (tmp_path / "labels.csv").write_text("path,label\n" + "".join(rows))
    return load(pictures, tmp_path / "labels.csv")


def test_what_has_a_label_keeps_its_split_and_order(partly):
    labeled = partly.labeled()
    for split in ("train", "validation", "all", "train[:50%]", "train[20:]+validation"):
        (sample,) = partly.sample_labels(split)
        assert (len(sample.labels), sample.whole) == (partly.num_examples(split), True)
        count = int(np.sum(sample.labels >= 0))
        assert labeled.num_examples(split) == count < len(sample.labels)
        assert sample.describe() == f"{count} of the {sample.total} images of {split} have a label"
        everything = [color for b in evaluate(partly, split=split) for color in colors(b["image"] * 255)[b["weight"] > 0]]  # fmt: skip # noqa: E501
        some = [color for b in evaluate(labeled, split=split) for color in colors(b["image"] * 255)[b["weight"] > 0]]  # fmt: skip # noqa: E501
        assert some == [color for color in everything if color % 3 == 0]
        (sample,) = labeled.sample_labels(split)
        assert sample.describe() == ""
    assert partly.num_examples("all") == COUNT


def test_what_has_a_label_resumes_and_is_shared_by_hosts(partly):
    labeled = partly.labeled()
    whole = train(labeled, 7, global_batch_size=4)
    assert sorted(whole[:14, 0]) == list(range(0, COUNT, 3))
    np.testing.assert_array_equal(whole[:, 1], whole[:, 0] % 2)
    for step in (2, 5):  # within the first epoch and the second
        resumed = train(labeled, 7 - step, global_batch_size=4, start_step=step)
        np.testing.assert_array_equal(resumed, whole[4 * step :])
    hosts = [
        train(labeled, 7, tf.distribute.InputContext(2, i, 2), global_batch_size=2)
        for i in range(2)
    ]
    assert sorted(np.concatenate(hosts)[:, 0]) == list(range(0, COUNT, 3))


def test_too_few_labels(pictures, partly, tmp_path):
    partly.check_labels("all", classes=2)
    file = tmp_path / "labels.csv"
    file.write_text("path,label\neven/00.PNG,0\n")
    with pytest.raises(SettingError, match="of one class, 0, and .*; add rows to the CSV file"):
        load(pictures, file).check_labels("all", classes=2)
    load(pictures, file).check_labels("all", classes=1)
    held_out = partly.num_examples("validation")
    split = "train" if load(pictures, file).labeled().splits["train"] == 0 else "validation"
    error = f"^`eval_split={split}`: none of the {held_out} images has a class label; add rows"
    with pytest.raises(SettingError, match=error):
        load(pictures, file).check_labels(split, field="eval_split")


def test_classes_get_the_numbers_that_a_network_gave_them(partly):
    other = partly.labels_as(["x", "1", "0"])
    assert (other.class_names, other.num_classes) == (["x", "1", "0"], 3)
    rows = train(other, 5)
    expected = np.where(rows[:, 0] % 3 == 0, 2 - rows[:, 0] % 2, -1)
    np.testing.assert_array_equal(rows[:, 1], expected)
    assert partly.class_names == ["0", "1"]
    with pytest.raises(ValueError, match="has classes beside 0, x"):
        partly.labels_as(["0", "x"])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("file,class\n", ': its first line is "file,class"; it must name the columns, as in path,'),
        ("a.png,cat\nb.png,dog\n", ': its first line is "a.png,cat"; it must name the columns'),
        (
            "file;class\n",
            ': its first line is "file;class"; semicolons separate its columns: write path,label '
            "with commas",
        ),
        ("path;label\na.png;cat\n", "semicolons separate its columns"),
        ("", ": its first line is empty; write path,label there"),
        ("path,label\n", "no rows"),
        ("path,label\n/abs/00.png,a\n", "pictures is at any of its paths, such as /abs"),
        ("path,label\neven/00.PNG,a,b\n", "row 2: 3 columns, the first line has 2"),
        ("path,label\neven/00.PNG,a\n\neven/00.PNG,b\n", "row 4: even/00.PNG is b here and a"),
        (b"path,label\n\xff\xfe,a\n", "give a CSV file in UTF-8"),
        (None, "no such file"),
    ],
)
def test_bad_csv_is_one_line(pictures, tmp_path, content, reason):
    file = tmp_path / "labels.csv"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as caught:
        load(pictures, file)
    assert str(caught.value).startswith(f"`folder_labels={file}`")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def spoil(pictures) -> dict[int, str]:
    """Makes three files bad; returns the reasons by color."""
    (pictures / "even" / "04.PNG").write_bytes(b"")
    content = (pictures / "odd" / "09.bmp").read_bytes()
    (pictures / "odd" / "09.bmp").write_bytes(content[:-50])
    (pictures / "odd" / "11.gif").unlink()
    (pictures / "odd" / "11.gif").symlink_to("nowhere")
    return {4: "empty file", 9: "truncated", 11: "No such file"}


@pytest.mark.parametrize("cache", [False, True])
def test_training_keeps_the_place_of_bad_files(pictures, tmp_path, cache):
    bad = spoil(pictures)
    dataset = load(pictures, "folders")
    with dataset.report_bad_images(str(tmp_path / "run")):
        rows = train(dataset, 10, cache=cache)
    first, second = rows[:COUNT], rows[COUNT:]
    for epoch in (first, second):
        np.testing.assert_array_equal(epoch[:, 1], epoch[:, 0] % 2)
        assert set(epoch[:, 0]) == set(range(COUNT)) - set(bad)
        assert len(epoch) == COUNT
    assert first.tolist() != second.tolist()
    assert sorted(first.tolist()) == sorted(second.tolist())
    lines = (tmp_path / "run" / "bad_images.txt").read_text().splitlines()
    named = dict(line.split("\t") for line in lines)
    assert len(named) == len(lines) == 3
    for color, reason in bad.items():
        (path,) = (p for p in named if os.path.basename(p).startswith(f"{color:02}."))
        assert path.startswith(f"{pictures}/")
        assert reason in named[path]
    # Resumed, before and after the bad files were met.
    for step in (3, 7):
        again = train(load(pictures, "folders"), 10 - step, start_step=step, cache=cache)
        np.testing.assert_array_equal(again, rows[8 * step :])


def test_evaluation_leaves_bad_files_out(pictures, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("simclr_tf"), "propagate", True)  # runs switch it off
    bad = spoil(pictures)
    expected = sorted(set(range(COUNT)) - set(bad))
    dataset = load(pictures, "folders")
    with dataset.report_bad_images(""):
        batches = evaluate(dataset)
    assert seen(batches) == expected
    assert "3 files could not be read:" in caplog.text
    assert caplog.text.count("09.bmp: ") <= 2
    for batch in batches:
        left_out = batch["weight"] == 0
        assert not batch["image"][left_out].any()
        assert not batch["label"][left_out].any()
        np.testing.assert_array_equal(batch["label"][~left_out], colors(batch["image"] * 255)[~left_out] % 2)  # fmt: skip # noqa: E501
    hosts = [evaluate(dataset, tf.distribute.InputContext(3, i, 6), global_batch_size=12)
             for i in range(3)]  # fmt: skip
    assert seen([batch for host in hosts for batch in host]) == expected
    assert len({len(host) for host in hosts}) == 1


def test_hosts_share_an_epoch(pictures):
    hosts = [train(load(pictures), 5, tf.distribute.InputContext(2, i, 2)) for i in range(2)]
    assert sorted(np.concatenate(hosts)[:, 0]) == list(range(COUNT))


def test_fail_stops_with_the_file(pictures, tmp_path):
    spoil(pictures)
    dataset = load(pictures, on_bad_image="fail")
    with (
        pytest.raises(SettingError, match=f"^`on_bad_image=fail`: {pictures}/.*: .*; [^\n]*$"),
        dataset.report_bad_images(str(tmp_path / "run")),
    ):
        train(dataset, 10)


def test_all_bad(pictures, tmp_path):
    for path in pictures.rglob("*.*"):
        path.write_bytes(b"")
    dataset = load(pictures)
    with (
        pytest.raises(SettingError, match="none of the 40 files of all can be read"),
        dataset.report_bad_images(str(tmp_path)),
    ):
        train(dataset, 1)
    assert len((tmp_path / "bad_images.txt").read_text().splitlines()) == COUNT


def test_the_list_grows_and_keeps_odd_names(tmp_path):
    root = tmp_path / "pictures"
    draw(root / "good.png", 1)
    (root / "a\tb\nc.png").touch()
    (tmp_path / "bad_images.txt").write_text("/earlier.png\tempty file\n")
    for _ in range(2):
        dataset = load(root)
        with dataset.report_bad_images(str(tmp_path)):
            assert seen(evaluate(dataset)) == [1]
    lines = (tmp_path / "bad_images.txt").read_text().splitlines()
    assert lines == ["/earlier.png\tempty file", rf"{root}/a\tb\nc.png" + "\tempty file"]


def test_labels_by_a_path_in_the_other_unicode_form(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
    draw(tmp_path / f"{composed}/1.png", 1)
    draw(tmp_path / f"{decomposed}/2.png", 2)
    table = tmp_path / "labels.csv"
    table.write_text(f"path,label\n{decomposed}/1.png,a\n{composed}/2.png,b\n")
    assert load(tmp_path, table).class_names == ["a", "b"]
    load(tmp_path, table).check_labels("all")


def test_fingerprint_tells_listings_apart(pictures, tmp_path):
    before = load(pictures).fingerprint
    pictures.rename(tmp_path / "moved")
    assert load(tmp_path / "moved").fingerprint == before
    (tmp_path / "moved" / "new.png").touch()
    assert load(tmp_path / "moved").fingerprint != before


def split_tree(root, *names: str, each: int = 4) -> None:
    """Draws `each` pictures into each of some folders, each of a color of its own."""
    for number, name in enumerate(names):
        for index in range(each):
            draw(root / name / f"{index}.png", each * number + index)


def test_folders_named_after_splits_are_the_splits(tmp_path):
    root = tmp_path / "pictures"
    split_tree(
        root, "Train/cat", "Train/dog/deep", "training/cat", "val/dog", "TEST/cat", "TEST/elk"
    )
    draw(root / "stray.png", 99)
    (root / ".hidden" / "x").mkdir(parents=True)
    (root / "notes").mkdir()
    dataset = load(root, "folders")
    assert dataset.splits == {"train": 12, "validation": 4, "test": 8}
    assert dataset.class_names == ["cat", "dog", "elk"]
    assert dataset.remarks == (
        f"{dataset.name}: splits train 12, validation 4, test 8; 1 more beside these folders, left "
        "out",
    )
    for split, shown, labels in (
        ("train", range(12), [0] * 4 + [1] * 4 + [0] * 4),
        ("validation", range(12, 16), [1] * 4),
        ("test", range(16, 24), [0] * 4 + [2] * 4),
        ("all", range(24), [0] * 4 + [1] * 4 + [0] * 4 + [1] * 4 + [0] * 4 + [2] * 4),
    ):
        rows = train(dataset, len(labels) // 4, split=split, global_batch_size=4)
        np.testing.assert_array_equal(rows[np.argsort(rows[:, 0])], np.stack([shown, labels], 1))
    # Slices are fair: a half has other pictures than those that come first by name.
    half = train(dataset, 3, split="train[:50%]", global_batch_size=2)[:, 0]
    assert sorted(half) != list(range(6))
    for path in (root / "val" / "dog").iterdir():
        path.unlink()
    with pytest.raises(SettingError, match=r"has train \(12\), test \(8\); give `eval_split=test`"):
        load(root).check_split("validation", field="eval_split")


def test_labels_of_splits_from_csv(tmp_path):
    root = tmp_path / "pictures"
    split_tree(root, "train", "test", each=2)
    (root / "labels.csv").write_text("path,label\ntrain/0.png,a\ntest/1.png,b\n")
    dataset = load(root, root / "labels.csv")
    assert [s.labels.max() for split in ("train", "test") for s in dataset.sample_labels(split)] == [0, 1]  # fmt: skip # noqa: E501
    with pytest.raises(SettingError, match="all pictures lie in the folders of the splits, none"):
        load(root, "folders")


def test_what_is_beside_splits_makes_classes_of_them(tmp_path):
    split_tree(tmp_path, "train", "test", "unlabeled")
    dataset = load(tmp_path, "folders")
    assert dataset.class_names == ["test", "train", "unlabeled"]
    assert set(dataset.splits) == {"train", "validation"}
    assert dataset.remarks[0].endswith(
        "by a hash of the files' names; its folders test, train are no splits: unlabeled lies "
        "beside them"
    )
    with pytest.raises(SettingError, match="and now unlabeled lies beside them; undo that"):
        load(tmp_path, split_folders=True)
    for path in (tmp_path / "unlabeled").iterdir():
        path.unlink()
    assert load(tmp_path).splits == load(tmp_path, split_folders=True).splits == {"train": 4, "test": 4}  # fmt: skip # noqa: E501
    then = load(tmp_path, "folders", split_folders=False)
    assert then.class_names == ["test", "train"]
    assert "test, train are no splits: as when this run began" in then.remarks[0]
    # Without a second split, train is a folder as any other.
    for path in (tmp_path / "test").iterdir():
        path.unlink()
    assert set(load(tmp_path).splits) == {"train", "validation"}
    with pytest.raises(SettingError, match="and now they are not there"):
        load(tmp_path, split_folders=True)


def test_what_is_left_out_by_its_name_is_counted(tmp_path):
    draw(tmp_path / "1.png", 1)
    for name in ("labels.csv", "sub/Thumbs.db", ".DS_Store", "t.tsv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert len(load(tmp_path).remarks) == 1
    (tmp_path / "a.heic").touch()
    said = load(tmp_path).remarks[0]
    assert said.endswith(": left out 1 file that is no picture by its name: 1 .heic")
    for name in ("b.HEIC", "sub/c.txt", "README", *(f"x.k{i}" for i in range(9))):
        (tmp_path / name).touch()
    said = load(tmp_path).remarks[0]
    assert said.endswith(
        ": left out 13 files that are no pictures by their names: 2 .heic, 1 without extension, "
        "1 .k0, 1 .k1, 1 .k2, 1 .k3, 6 others"
    )
    (tmp_path / "1.png").unlink()
    with pytest.raises(SettingError, match=r"no pictures in .* \(left out 13 files .*2 .heic"):
        load(tmp_path)


@pytest.mark.parametrize(
    "table",
    [
        "path,label\neven\\00.PNG,a\n.\\odd\\01.bmp,b\n",
        "Path,LABEL\n./even/00.PNG,a\nodd//01.bmp,b\n",
        " label ,note, path\na,x,even/00.PNG\nb,,odd/01.bmp\n",
        "path\tlabel\tmore\neven/00.PNG\ta\t\nodd/01.bmp\tb\tc, d\n",
    ],
)
def test_tables_of_other_systems(pictures, table):
    (pictures / "labels.csv").write_text(table)
    dataset = load(pictures, pictures / "labels.csv")
    assert dataset.class_names == ["a", "b"]
    rows = train(dataset.labeled(), 1, global_batch_size=2)
    np.testing.assert_array_equal(rows[np.argsort(rows[:, 0])], [[0, 0], [1, 1]])


def test_a_backslash_may_be_part_of_a_name(tmp_path):
    root = tmp_path / "pictures"
    draw(root / "a" / "b.png", 0)
    draw(root / "a\\b.png", 1)
    (tmp_path / "labels.csv").write_text("path,label\na\\b.png,back\na/b.png,forward\n")
    dataset = load(root, tmp_path / "labels.csv")
    rows = train(dataset, 1, global_batch_size=2)
    np.testing.assert_array_equal(rows[np.argsort(rows[:, 0])], [[0, 1], [1, 0]])


def test_a_table_is_looked_for_here_and_beside_the_pictures(pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingError, match="no such file, here or beside the pictures"):
        load(pictures, "labels.csv")
    (pictures / "labels.csv").write_text("path,label\neven/00.PNG,beside\n")
    assert load(pictures, "labels.csv").class_names == ["beside"]
    assert load(pictures, "./labels.csv").class_names == ["beside"]
    (tmp_path / "labels.csv").write_text("path,label\neven/00.PNG,here\n")
    assert load(pictures, "labels.csv").class_names == ["here"]
    with pytest.raises(SettingError, match="no such file"):
        load(pictures, tmp_path / "none" / "labels.csv")


def test_few_labels_are_balanced_and_follow_names(pictures, tmp_path):
    paths = sorted(path.relative_to(pictures) for path in pictures.rglob("*.*"))
    rows = [f"{path},{'ab'[int(path.stem) % 4 == 0]}\n" for path in paths if int(path.stem) % 5]
    (tmp_path / "labels.csv").write_text("path,label\n" + "".join(rows))
    dataset = load(pictures, tmp_path / "labels.csv").labeled()
    few = dataset.few_labels("all", 6, seed=3)
    assert few.num_examples("all") == 12
    shown = train(few, 6, global_batch_size=2)
    np.testing.assert_array_equal(shown[:, 1], shown[:, 0] % 4 == 0)
    np.testing.assert_array_equal(np.bincount(shown[:, 1]), [6, 6])
    assert len(set(shown[:, 0])) == 12
    again = dataset.labels_as(["b", "z", "a"]).few_labels("all", 6, seed=3)
    assert set(train(again, 6, global_batch_size=2)[:, 0]) == set(shown[:, 0])
    other = dataset.few_labels("all", 6, seed=4)
    assert set(train(other, 6, global_batch_size=2)[:, 0]) != set(shown[:, 0])
    assert dataset.few_labels("all", 9, seed=3).num_examples("all") == 8 + 9  # 8 are b


def test_some_pictures_are_spread_over_all(pictures, tmp_path):
    paths = sorted(path.relative_to(pictures) for path in pictures.rglob("*.*"))
    rows = [f"{path},{place:03}\n" for place, path in enumerate(paths)]
    (tmp_path / "labels.csv").write_text("path,label\n" + "".join(rows))
    dataset = load(pictures, tmp_path / "labels.csv")
    every, some = dataset.all_labels("all"), dataset.some("all", 5).all_labels("all")
    assert sorted(every) == list(range(40))
    np.testing.assert_array_equal(some, every[[0, 8, 16, 24, 32]])
    assert dataset.some("all", 40) is dataset
