"""`make quickstart`: the whole way, from images without labels to a served encoder, in minutes."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

from simclr_tf import compat

FOLDER = Path("runs/quickstart")
RECIPE = Path("flags/quickstart.flags")
TRAINING_DIGITS = 1442
SHARES = {"1%": "0.01", "10%": "0.1", "100%": "1"}

# Run in a new process: what a user of the model writes. It knows nothing of simclr_tf.
EMBED = """
import sys, tensorflow as tf
serve = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
out = serve(tf.constant([open(sys.argv[2], "rb").read()]))
print("features", out["features"].shape, out["features"].numpy()[0, :4].round(3), "...")
print("class", int(out["probabilities"].numpy().argmax()), "with probability",
      round(float(out["probabilities"].numpy().max()), 3))
"""


def main() -> int:
    """Runs the commands one after another and prints what came of them."""
    if not RECIPE.exists():
        print(f"error: {RECIPE} is not here; run in a clone of the repository", file=sys.stderr)
        return 2
    _say("1/7  pre-train without labels")
    _run("--mode=train", "--train_mode=pretrain", model_dir="pretrain")
    _say("2/7  logistic regression on the features, learned and untrained")
    _run("--mode=probe", model_dir="pretrain")
    _run("--mode=probe", model_dir="probe_untrained")
    _say("3/7  linear evaluation, the paper's way: train a linear layer on the frozen encoder")
    supervised = ["--mode=train_then_eval", "--train_mode=finetune", "--warmup_epochs=0"]
    pretrained = [*supervised, f"--checkpoint={FOLDER}/pretrain", "--train_epochs=15"]
    _run(*pretrained, "--fine_tune_after_block=4", model_dir="linear")
    _say("4/7  fine-tune everything")
    _run(*pretrained, "--learning_rate=0.4", model_dir="finetune")
    _say("5/7  the same network trained from scratch, for comparison")
    for share, fraction in SHARES.items():
        # As many steps for few labels as for many, and the same peak learning rate, though a batch
        # is no larger than the images: so that none is cut short.
        batch = min(128, round(float(fraction) * TRAINING_DIGITS))
        _run(
            *supervised,
            "--train_steps=200",
            f"--learning_rate={0.2 * 128 / batch:g}",
            f"--train_split=train[:{share}]",
            model_dir=_scratch(share),
        )
    _say("6/7  all of that on one page")
    others = [*(_scratch(share) for share in SHARES), "linear", "finetune"]
    _run("--mode=report", *(f"{FOLDER}/{name}" for name in others), model_dir="pretrain")
    _say("7/7  load the SavedModel in a new process and embed an image file")
    saved_model = max((FOLDER / "finetune/saved_model").iterdir(), key=lambda p: int(p.name))
    image, label = _write_digit()
    print(f"  {saved_model} on {image}, which shows a {label}:", flush=True)
    command = [sys.executable, "-c", EMBED, str(saved_model), str(image)]
    # Without TensorFlow's start-up lines, unless it fails.
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    print(done.stdout)
    print(_table(saved_model))
    return 0


def _scratch(share: str) -> str:
    return f"scratch_{share.rstrip('%')}"


def _say(text: str) -> None:
    print(f"\n== {text}", flush=True)


def _run(*flags: str, model_dir: str) -> None:
    command = ["-m", "simclr_tf.run", f"--flagfile={RECIPE}", *flags]
    command.append(f"--model_dir={FOLDER / model_dir}")
    print("$ python " + " ".join(command), flush=True)
    with subprocess.Popen([sys.executable, *command]) as process:
        while process.poll() is None:
            # Ctrl-C reaches the command too, which saves, and says so: wait for it.
            with contextlib.suppress(KeyboardInterrupt):
                process.wait()
    if process.returncode:
        sys.exit(process.returncode)


def _write_digit() -> tuple[Path, int]:
    """Saves a digit of the test split as a PNG file and returns it with its label."""
    compat.import_tensorflow()
    from simclr_tf import data
    from simclr_tf.data import reading

    dataset = data.load("digits")
    example = next(iter(reading.read_examples(dataset, "test[:1]")))
    path = FOLDER / "digit.png"
    path.write_bytes(example["image"].numpy())
    return path, int(example["label"])


def _table(saved_model: Path) -> str:
    from simclr_tf.evaluation.accuracy import wilson_interval

    def read(name: str) -> dict[str, float]:
        return json.loads((FOLDER / name).read_text())

    learned, untrained = read("pretrain/probe.json"), read("probe_untrained/probe.json")
    rows = []
    for share, fraction in SHARES.items():
        scratch = read(f"{_scratch(share)}/result.json")["eval/label_top_1_accuracy"]
        key = f"logistic_regression/{fraction}"
        rows.append(f"  {share:>6} {learned[key]:>10.1%} {untrained[key]:>11.1%} {scratch:>14.1%}")
    top_1 = "eval/label_top_1_accuracy"
    images = int(learned["test_images"])
    _, high = wilson_interval(0.5, images)
    return "\n".join(
        [
            f"\nAccuracy on the {images} test digits, by share of the training labels used "
            f"(95% intervals: +- {high - 0.5:.0%} or less):",
            "  labels    learned   untrained   supervised from",
            "           features    features           scratch",
            *rows,
            f"  linear evaluation {read('linear/result.json')[top_1]:.1%}, "
            f"fine-tuned {read('finetune/result.json')[top_1]:.1%} (all labels)",
            "",
            f"  the run           {FOLDER}/pretrain",
            f"  to look at        {FOLDER}/pretrain/report.html, in a browser",
            f"  for TF Serving    {saved_model.parent}",
            f"  curves, pictures  tensorboard --logdir {FOLDER}",
            "  next              python -m simclr_tf.run --flagfile=flags/fashion_mnist_cpu.flags",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
