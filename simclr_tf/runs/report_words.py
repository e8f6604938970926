"""A report in words: what stands first, and what each section says of itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from simclr_tf.evaluation.accuracy import wilson_interval
from simclr_tf.evaluation.knn import TEMPERATURE
from simclr_tf.report.charts import Chart, Line
from simclr_tf.report.page import Badge, Opening
from simclr_tf.runs.command_line import command_line
from simclr_tf.runs.frozen import FrozenEncoder
from simclr_tf.runs.health import describe_health
from simclr_tf.runs.looking import Looked
from simclr_tf.runs.measured import Figures, Headline
from simclr_tf.runs.pictures import Pictures
from simclr_tf.runs.record import Record, measured_of
from simclr_tf.runs.verdict import guesses, verdict_of
from simclr_tf.training.curves import panels_of
from simclr_tf.training.health import GROUP

FOOTER = (
    "Made by simclr_tf, --mode=report. One run, one seed, one set of test images: how much another "
    "seed would change any of this is not known from this page."
)
WITHOUT_ENVIRONMENT = "environment.json is not here; every start of training writes it."
WITHOUT_CURVES = "metrics.jsonl is not here; training writes it, a line for each summary."
_MOST_POINTS = 400  # of a curve
_GOOD = {"learned", "healthy"}


def opening_of(record: Record, frozen: FrozenEncoder, looked: Looked, figures: Figures) -> Opening:
    """Returns what was trained on what, whether it is learning, and the first figures."""
    return Opening(
        record.name,
        f"SimCLR report · {frozen.train_set.name}",
        _lead(record, frozen),
        list(_badges(record)),
        [_figure(headline) for headline in figures.headlines],
        [(name, text[:24]) for name, text in facts_of(record, frozen, looked)[:4]],
    )


def _figure(headline: Headline) -> tuple[str, str, str]:
    low, high = wilson_interval(headline.accuracy, headline.images)
    how = (
        f"{headline.how}; {headline.images:,} test images, 95% interval "
        f"{100 * low:.1f}–{100 * high:.1f}%"
    )
    return headline.what, f"{headline.accuracy:.1%}", how


def _lead(record: Record, frozen: FrozenEncoder) -> str:
    config, plan = record.config, record.plan
    images, batch = plan.get("train_examples"), config.optimization.train_batch_size
    step = measured_of(frozen)["step"]
    ways = {"pretrain": "Pre-trained without labels", "distill": "Taught by another network"}
    what = ways.get(config.task.train_mode, "Trained as a classifier")
    on = f"{images:,} images" if images else "the images"
    length = f"{step:,} steps of {batch:,} images"
    if images:
        length += f", {step * batch / images:.3g} epochs"
    return (
        f"{config.architecture}. {what} on {on} of {config.data.dataset} "
        f"({config.data.train_split}) at {config.data.image_size} × {config.data.image_size} "
        f"pixels: {length}."
    )


def _badges(record: Record) -> Iterator[Badge]:
    """Yields the verdict and health, as the run's own end screen words them."""
    total = int(record.plan.get("train_steps", 0))
    rows = verdict_of(
        record.config, record.lines, total=total, num_classes=record.plan.get("num_classes")
    )
    found = [row for row in rows if total]
    if not found:
        seen = f"step {record.lines[-1]['step']:,} of {total:,}" if record.lines else "no summary"
        yield Badge("", "no verdict yet", f"the run has not ended: {seen}")
    for place, (name, text) in enumerate(found):
        if name:
            word, _, reason = text.partition(": ")
            more = found[place + 1][1] if name == "verdict" else ""
            yield Badge("good" if word in _GOOD else "warn", word, reason, more)


def health_of(record: Record) -> str:
    """Says what the last look at health has measured."""
    looks = [line for line in record.lines if any(name.startswith(GROUP) for name in line)]
    if looks:
        line, heads = looks[-1], record.config.architecture
        look = {name.removeprefix(GROUP): value for name, value in line.items()}
        said = "; ".join(describe_health(look, _dim(record), heads.proj_out_dim))
        return f"Health without labels, at step {line['step']:,}: {said}."
    if not record.config.task.pretraining:
        return ""
    command = command_line({"mode": "probe", "model_dir": record.folder})
    return f"Nobody looked at its health while it was trained; that is measured by {command}"


def _dim(record: Record) -> int:
    """Returns how many numbers h has."""
    network = record.config.architecture
    widest = 512 if network.resnet_depth < 50 else 2048
    return round(widest * network.width_multiplier)


def facts_of(record: Record, frozen: FrozenEncoder, looked: Looked) -> list[tuple[str, str]]:
    """Returns what figures are of: names and what they are."""
    of = measured_of(frozen)
    total = record.plan.get("train_steps")
    facts = [
        ("checkpoint", f"step {of['step']:,}" + (f" of {total:,}" if total else "")),
        ("encoder sha256", of["encoder_sha256"]),
        ("seed", f"{record.config.task.seed} (one run)"),
        ("looked at", f"{len(looked.test):,} images of {looked.test.split}"),
    ]
    if frozen.weights is not None:
        facts.append(("weights", frozen.weights.prefix))
    return facts


def curves_of(record: Record) -> list[Chart]:
    """Returns a chart of each metric that `curves.png` shows, too."""
    compared = guesses(record.config, record.plan.get("num_classes"))
    charts = []
    for name, panel in panels_of(record.lines).items():
        points = [(line["step"], line[name]) for line in record.lines if name in line]
        points = points[:: -(-len(points) // _MOST_POINTS)]
        x, y = zip(*points)
        nothing = compared.get(name.removeprefix("train/"))
        reference = None if nothing is None else (panel.meaning, nothing)
        chart = Chart(
            panel.title,
            "step",
            [Line(name, x, y)],
            factor=panel.factor,
            reference=reference,
            from_zero="loss" not in name,
            extent=(0, record.lines[-1]["step"]),
        )
        charts.append(chart)
    return charts


def note_on_curves(record: Record) -> str:
    """Says what the points of the curves are."""
    return (
        f"Each point is a mean over the steps since the one before it ({len(record.lines):,} "
        "summaries, metrics.jsonl). Dashed: what a network that knows nothing would have."
    )


def note_on_map(looked: Looked, how: str) -> str:
    """Says which images the map shows."""
    return f"{_which(looked.test)}; by {how}, on h of unit length."


def note_on_neighbors(looked: Looked) -> str:
    """Says what queries and neighbors are."""
    if not looked.k:
        return (
            "Evenly spaced images and the eight that are nearest to each by the cosine of their "
            f"features. {_which(looked.test)}."
        )
    wrong = len(looked.wrong)
    return (
        "Evenly spaced test images first, then some of those whose neighbors vote wrong"
        f"{'' if wrong else ' (there are none)'}, each with the eight training images that are "
        "nearest by the cosine of their features. Numbers are cosines; dashed frames and ✗ mark "
        f"neighbors of another class. Searched: {_which(looked.train)}."
    )


def note_on_votes(looked: Looked) -> str:
    """Says how many votes are wrong, and which."""
    wrong, count = len(looked.wrong), len(looked.test)
    return (
        f"The {looked.k:,} nearest training images vote (T {TEMPERATURE:g}): {wrong:,} of "
        f"{count:,} votes are wrong. The most frequent pairs, label → vote:"
    )


def note_on_views(record: Record) -> str:
    """Says how views were drawn."""
    asked = record.config.augmentation
    blur = "blur" if asked.use_blur else "no blur"
    return (
        "What the loss sees: two views of an image should be near, of two images apart. Color "
        f"jitter {asked.color_jitter_strength:g}, {blur}; frames show what was cropped."
    )


def without_labels(frozen: FrozenEncoder) -> tuple[str, str]:
    """Says why nothing is told apart, and how it would be."""
    asked = {"mode": "report", "model_dir": frozen.config.task.model_dir}
    return (
        "There are no labels. Where the first folders are the classes, they are read by",
        command_line({**asked, "folder_labels": "folders"}),
    )


def environment_of(record: Record) -> Sequence[tuple[str, str]]:
    """Returns environment.json in words."""
    start: dict[str, Any] = record.environment
    if not start:
        return []
    versions = start.get("versions", {})
    known = {
        "started": f"{start.get('time', '')} at step {start.get('step', 0):,}",
        "command": start.get("command"),
        "devices": f"{', '.join(start.get('devices', []))}; {start.get('processor', '')}",
        "system": start.get("system"),
        "commit": start.get("commit"),
        "versions": ", ".join(f"{name} {version}" for name, version in sorted(versions.items())),
    }
    return [(name, str(text)) for name, text in known.items() if text]


def _which(pictures: Pictures) -> str:
    count, name = len(pictures), f"{pictures.dataset.name}, {pictures.split}"
    if pictures.is_sample:
        return f"{count:,} of the {pictures.total:,} images of {name}, evenly spaced"
    return f"{count:,} images of {name}"
