"""Whole runs on cut-out pictures and 12 bits in 16: training, evaluation and SavedModel agree."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from simclr_tf import data
from simclr_tf.checkpoints import find_weights, restore_parts
from simclr_tf.config import parse
from simclr_tf.data.pixel_range import PixelRange
from simclr_tf.evaluation import extract_features
from simclr_tf.pixel_rule import BEFORE, PixelRule
from simclr_tf.runs import pixels
from simclr_tf.serving.client import read_picture
from simclr_tf.training.build import build_plain


@pytest.fixture
def cut_outs(tmp_path) -> Path:
    """Colored squares on nothing, under which other colors lie; and gray ones of 12 bits."""
    random = np.random.default_rng(0)
    root = tmp_path / "pictures"
    for number in range(24):
        folder = root / ("warm", "cold")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        kind = number // 2 % 6
        if kind < 3:
            pixels = random.integers(0, 256, (12, 10, 4), np.uint8)  # what lies under nothing
            pixels[..., 3] = 0
            pixels[2:9, 3:8] = (*random.integers(0, 256, 3), random.integers(100, 256))
            suffix = ("png", "webp", "tif")[kind]
            options = {"lossless": True, "exact": True} if suffix == "webp" else {}
            Image.fromarray(pixels).save(folder / f"{number}.{suffix}", **options)
            continue
        pixels = random.integers(100, 4096, (12, 10, 3)).astype(np.uint16)
        if kind == 3:
            (folder / f"{number}.png").write_bytes(tf.io.encode_png(pixels).numpy())
        else:
            suffix = ("tiff", "png")[kind - 4]
            Image.fromarray(pixels[..., 0]).save(folder / f"{number}.{suffix}")
    return root


def described(folder: Path) -> dict:
    return json.loads((folder / "simclr.json").read_text())["preprocessing"]


def test_seen_alike_in_training_evaluation_and_serving(run, cut_outs, tmp_path, capsys) -> None:
    folder = tmp_path / "run"
    own = [f"--dataset=folder:{cut_outs}", "--train_split=all", "--eval_split=all"]
    own += ["--folder_labels=folders"]
    train = [*own, "--train_steps=2", "--alpha_background=#102030", f"--model_dir={folder}"]
    assert run(*train) == 0
    printed = capsys.readouterr().out
    low, high = described(folder)["pixel_rule"]["range_16"]
    assert f"16-bit pictures: values {low} to {high:,} of a sample of 12 become 0 to 25" in printed
    assert 100 <= low < 130 and 4060 < high < 4096
    rule = PixelRule((16, 32, 48), (low, high))
    saved = folder / "saved_model/2"
    for place in (folder, saved / "assets.extra"):
        assert described(place)["pixel_rule"] == rule.to_json()

    weights = find_weights(str(folder))
    assert weights.description.pixel_rule == rule
    network = build_plain(weights.description.architecture, 2)
    restore_parts(network.parts, weights)
    dataset = data.load(f"folder:{cut_outs}").with_pixel_rule(rule)
    features, _ = extract_features(
        network.encoder, dataset, split="all", batch_size=24, image_size=8
    )
    serve = tf.saved_model.load(str(saved)).signatures["serving_default"]
    paths = [path for path in cut_outs.rglob("*.*") if path.is_file()]
    served = serve(tf.constant([read_picture(str(path)) for path in paths]))["features"]
    order = lambda rows: np.array(sorted(map(tuple, np.asarray(rows))))
    np.testing.assert_allclose(order(served), order(features), atol=1e-5)
    others = dataset.with_pixel_rule(PixelRule())
    other, _ = extract_features(network.encoder, others, split="all", batch_size=24, image_size=8)
    assert np.abs(order(other) - order(features)).max() > 1e-3

    # By every door, as it was trained; a copy of the folder with brighter pictures changes nothing.
    for path in cut_outs.rglob("*.tiff"):
        Image.fromarray(np.asarray(Image.open(path)).astype(np.uint16) * 15).save(path)
    as_trained = f"16-bit pictures: values {low} to {high:,} become 0 to 255, as these weights"
    for door in (["--mode=eval", f"--model_dir={folder}"], train):
        assert run(*door, tiny=door is train, export=False) == 0
        assert f"{as_trained} have it; all has " in capsys.readouterr().out
    assert described(folder)["pixel_rule"] == rule.to_json()
    for door in (f"--checkpoint={folder}", f"--model_dir={folder}"):
        assert run("--mode=eval", *own, door, "--alpha_background=red", tiny=False) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "alpha_background" in error


@pytest.mark.parametrize(
    ("stored", "given", "expected"),
    [
        (None, (), PixelRule((255, 255, 255), (103, 4012))),
        (PixelRule((1, 2, 3)), (), PixelRule((1, 2, 3), (103, 4012))),
        (PixelRule((1, 2, 3), (0, 999)), (), PixelRule((1, 2, 3), (0, 999))),
        (PixelRule((1, 2, 3), (0, 999)), ("red",), PixelRule((255, 0, 0), (0, 999))),
        (BEFORE, (), BEFORE),
    ],
)
def test_what_begins_takes_the_rule_of_its_weights(stored, given, expected, monkeypatch) -> None:
    config = parse([f"--alpha_background={color}" for color in given])
    monkeypatch.setattr(pixels, "measure_range", lambda *_: PixelRange(103, 4012, 64))
    dataset, (told,) = pixels.begin_with(config, data.load("digits"), stored)
    assert dataset.pixel_rule == expected
    low, high = expected.bounds_16
    assert told.startswith(f"16-bit pictures: values {low:,} to {high:,} ")
    assert ("train has 103 to 4,012 of a sample of 64" in told) == ((low, high) != (103, 4012))


def test_views_are_of_what_is_trained_on(run, cut_outs, tmp_path, monkeypatch, capsys) -> None:
    shown = []
    draw = lambda samples, views: [shown.extend(i for i, _ in samples), Image.new("1", (1, 1))][1]
    monkeypatch.setattr("simclr_tf.workflows.show_views.draw_contact_sheet", draw)
    flags = [f"--dataset=folder:{cut_outs}", "--train_split=all", "--mode=show_views"]
    assert run(*flags, f"--model_dir={tmp_path / 'run'}", "--alpha_background=lime") == 0
    assert "of a sample of 12 become 0 to 255" in capsys.readouterr().out
    corners = [tuple(image[0, 0].numpy()) for image in shown]
    assert 2 < corners.count((0, 255, 0)) < 8
    brightest = [int(np.max(image)) for image in shown]
    assert min(brightest) > 100


def test_a_word_that_is_no_color_is_one_line(run, tmp_path, capsys) -> None:
    assert run("--alpha_background=whitish", f"--model_dir={tmp_path / 'run'}") == 2
    error = capsys.readouterr().err
    assert error == (
        "error: --alpha_background=whitish must be a color: a name, such as white, or #RRGGBB\n"
    )
    assert not (tmp_path / "run").exists()
