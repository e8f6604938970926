"""--mode=report on tiny runs: its numbers are those of the files, and nothing of users' is HTML."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.checkpoints import find_weights
from simclr_tf.runs import looking
from tests.conftest import TINY
from tests.report.conftest import CLASSES, class_folder, data_of


@pytest.fixture(scope="module")
def digits_run(run_here, tmp_path_factory) -> Path:
    """A run of three steps on digits with what may be measured of it, and a run from scratch."""
    root = tmp_path_factory.mktemp("digits")
    folder = root / "run"
    assert run_here(*TINY, "--train_steps=3", f"--model_dir={folder}", export=False) == 0
    few = ("--label_fractions=0.01,1", f"--model_dir={folder}")
    assert run_here("--mode=probe", *few) == 0
    asked = ("--mode=evaluate", "--protocol=knn,clustering", "--knn_k=20", "--knn_temperature=0.1")
    assert run_here(*asked, *few) == 0
    scratch = ("--train_mode=finetune", "--mode=train_then_eval", "--train_split=train[:10%]")
    assert run_here(*TINY, *scratch, "--train_steps=2", f"--model_dir={root}/scratch") == 0
    return folder


@pytest.fixture(scope="module")
def digits_page(digits_run, report_of) -> Path:
    return report_of(digits_run, digits_run.parent / "scratch")


def charts_of(page: Path) -> dict[str, dict]:
    charts = data_of(page)["charts"]
    return {line["name"]: line for chart in charts for line in chart["lines"]}


def test_numbers_are_those_of_the_files(digits_run: Path, digits_page: Path) -> None:
    charts, text = charts_of(digits_page), digits_page.read_text()
    lines = [json.loads(line) for line in (digits_run / "metrics.jsonl").read_text().splitlines()]
    for name in ("train/contrast_loss", "train/supervised_acc", "learning_rate"):
        assert charts[name]["x"] == [line["step"] for line in lines]
        assert charts[name]["y"] == [line[name] for line in lines]
    probe = json.loads((digits_run / "probe.json").read_text())
    learned = charts["learned features"]
    assert learned["x"] == [10, 1442]
    fractions = ("0.01", "1")
    assert learned["y"] == [probe[f"logistic_regression/{name}"] for name in fractions]
    assert f"<dd>{probe['knn']:.1%}</dd><dd>k 144, T 0.1, 1,442 labels; 355 test images, " in text
    result = json.loads((digits_run.parent / "scratch/result.json").read_text())
    scratch = charts["from scratch"]
    assert scratch["x"] == [144] and scratch["y"] == [result["eval/label_top_1_accuracy"]]
    rows = json.loads((digits_run / "evaluation.json").read_text())["figures"]
    assert f'<th scope="row">knn, {rows[0]["case"]}</th>' in text
    assert f"{rows[0]['value']:.2%} ({round(355 * rows[0]['value'])} of 355;" in text
    assert f"adjusted Rand index {rows[-1]['value']:.3f}" in text
    assert probe["of"]["encoder_sha256"] in text and "checkpoint <span" in text
    assert "t-SNE keeps near neighbors near" in text and "one seed" in text


def test_votes_are_the_probes(digits_run: Path, digits_page: Path) -> None:
    drawn, probe = data_of(digits_page)["map"], json.loads((digits_run / "probe.json").read_text())
    assert len(drawn["x"]) == len(drawn["names"]) == 355
    hits = np.mean(np.array(drawn["label"]) == np.array(drawn["vote"]))
    assert hits == pytest.approx(probe["knn"], abs=1e-9)
    assert drawn["names"][7] == "test/7" and drawn["classes"] == list("0123456789")
    assert all(row not in near and len(near) == 5 for row, near in enumerate(drawn["near"]))
    wrong = round(355 * (1 - hits))
    assert f"only the {wrong:,} of 355 whose neighbors vote wrong" in digits_page.read_text()


def test_untrained_features_are_those_of_the_probe(digits_page: Path, run_here, tmp_path) -> None:
    flags = ("--mode=probe", "--label_fractions=1", f"--model_dir={tmp_path}")
    assert run_here(*TINY, *flags) == 0
    probe = json.loads((tmp_path / "probe.json").read_text())
    untrained = charts_of(digits_page)["untrained features"]
    assert untrained["x"][-1] == 1442
    assert untrained["y"][-1] == probe["logistic_regression/1"]


def test_twice_is_the_same(digits_run: Path, digits_page: Path, report_of) -> None:
    again = report_of(digits_run, digits_run.parent / "scratch", name="again.html")
    assert again.read_text() == digits_page.read_text()
    assert digits_page.stat().st_size < 300_000


def test_figures_of_other_weights_are_left_out(digits_run, report_of, tmp_path, capsys) -> None:
    other = tmp_path / "other"
    shutil.copytree(digits_run, other, ignore=shutil.ignore_patterns("*.html"))
    for name in ("probe.json", "evaluation.json"):
        text = (other / name).read_text()
        (other / name).write_text(re.sub('"encoder_sha256": "..', '"encoder_sha256": "zz', text))
    page = report_of(other, digits_run, "--label_fractions=1")
    text = page.read_text()
    assert "probe.json is of other weights" in text
    assert "3 figures of evaluation.json are of other weights and left out" in text
    assert "adjusted Rand index" not in text
    assert charts_of(page)["learned features"]["x"] == [1442]
    said = f"{digits_run} is no classifier on the same test images: left out"
    assert said in capsys.readouterr().out


def test_of_many_images_some_are_looked_at(digits_run, report_of, tmp_path, monkeypatch) -> None:
    other = tmp_path / "other"
    shutil.copytree(digits_run, other, ignore=shutil.ignore_patterns("*.html", "probe.json"))
    monkeypatch.setattr(looking, "MOST_TRAIN", 200)
    monkeypatch.setattr(looking, "MOST_TEST", 50)
    page = report_of(other, "--label_fractions=0.1")
    drawn, text = data_of(page)["map"], page.read_text()
    assert drawn["names"] == [f"test/{place * 355 // 50}" for place in range(50)]
    assert "50 of the 355 images of digits, test, evenly spaced" in text
    assert "200 of the 1,442 images of digits, train, evenly spaced" in text
    assert "k 20, T 0.1, 200 labels, evenly spaced samples; 50 test images, 95%" in text
    # A tenth of all labels, not of those that were looked at.
    assert charts_of(page)["learned features"]["x"] == [140]
    assert charts_of(page)["untrained features"]["x"] == [140]


class _Elements(HTMLParser):
    """Collects what would be HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes |= {name for name, _ in attrs}


def test_names_become_no_html(page_of_pictures: Path, run_on_pictures: Path) -> None:
    text, drawn = page_of_pictures.read_text(), data_of(page_of_pictures)["map"]
    found = _Elements()
    found.feed(text)
    assert not {"b", "i"} & set(found.names) - {"b"} and found.names.count("script") == 2
    assert found.names.count("b") == len(re.findall('<li class="(?:good|warn|)"><b>', text))
    assert "img" not in found.names and "onerror" not in found.attributes
    assert sorted(drawn["classes"]) == sorted(class_folder(digit) for digit in CLASSES)
    assert {name.split("/")[0] for name in drawn["names"]} <= set(drawn["classes"])
    assert any("<img src=x onerror=alert(" in name for name in drawn["names"])
    assert "bad_images.txt" in {path.name for path in run_on_pictures.iterdir()}
    assert not any("broken" in name for name in drawn["names"])
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src 'none'; img-src data:; ")


def test_without_labels_map_and_neighbors_are_left(page_without_labels: Path) -> None:
    text, drawn = page_without_labels.read_text(), data_of(page_without_labels)["map"]
    assert len(drawn["x"]) == 60 and set(drawn["label"]) == set(drawn["vote"]) == {-1}
    assert drawn["classes"] == []
    assert text.count('class="query"') == 8 and ">vote: " not in text
    assert text.count("There are no labels") == 2
    assert "metrics.jsonl is not here" in text and "environment.json is not here" in text
    assert text.count("--folder_labels=folders") >= 2
    # The nearest are those of the pictures themselves, and none is its own neighbor.
    assert all(row not in near for row, near in enumerate(drawn["near"]))


def test_what_was_cropped_is_framed(page_of_pictures: Path) -> None:
    text = page_of_pictures.read_text()
    assert text.count('class="box v0"') == text.count('class="box v1"') == 6
    boxes = re.findall(r"left:([\d.]+)%;top:([\d.]+)%;width:([\d.]+)%;height:([\d.]+)%", text)
    for left, top, width, height in np.array(boxes, float):
        assert 0 <= left <= left + width <= 100.001 and 0 <= top <= top + height <= 100.001


def test_what_cannot_be_reported_is_one_line(run_here, run_on_pictures, tmp_path, capsys) -> None:
    (tmp_path / "file").write_text("")
    empty = tmp_path / "empty"
    empty.mkdir()
    begun = tmp_path / "begun"
    begun.mkdir()
    shutil.copy(run_on_pictures / "config.json", begun)
    run = f"--model_dir={run_on_pictures}"
    for flags, said in (
        ([], "--mode=report needs --model_dir, the run that it is of"),
        ([f"--model_dir={empty}"], f"--model_dir={empty} holds no run: there is no config.json"),
        ([f"--model_dir={tmp_path}/none"], "holds no run: there is no config.json"),
        ([f"--model_dir={tmp_path}/file"], "is a file; give a folder"),
        ([f"--model_dir={begun}"], "holds a run that has no checkpoint yet; wait for one"),
        ([run, "--output=x.txt"], "--output=x.txt must end in .html"),
        ([run, f"--output={tmp_path}/file/x.html"], f"--output={tmp_path}/file is a file"),
        ([run, "--checkpoint=x"], "--checkpoint=x is not for --mode=report, which is of the run"),
    ):
        capsys.readouterr()
        assert run_here("--mode=report", *flags) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: --") and said in line
    assert not list(empty.iterdir()) and not (tmp_path / "none").exists()


def test_of_a_classifier(digits_run: Path, report_of) -> None:
    text = report_of(digits_run.parent / "scratch").read_text()
    assert "Trained as a classifier on 144 images of digits (train[:10%])" in text
    assert "This run did not pre-train: its loss compares no two views" in text
    assert 'id="views"' in text and 'class="box' not in text


def test_it_reads_the_newest_checkpoint_and_changes_nothing(digits_run: Path, digits_page) -> None:
    assert "step 3 of 3" in digits_page.read_text()
    names = {path.name for path in digits_run.iterdir() if path.suffix == ".html"}
    assert names <= {"report.html", "again.html"}
    assert find_weights(str(digits_run), trust_checkpoint=False).prefix.endswith("ckpt-3")
    assert tf.io.gfile.exists(f"{digits_run}/config.json")
