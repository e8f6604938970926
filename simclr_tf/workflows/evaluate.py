"""Evaluation of the supervised head: top-1 and top-5 accuracy, into result.json.

It asks for devices, the data of its own split and the network: no plan, no optimizer, no training
split, and no other machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import tensorflow as tf

from simclr_tf import data, files, stopping
from simclr_tf.checkpoints import Description, find_weights, numbered, restore_parts
from simclr_tf.config import Config
from simclr_tf.errors import SettingError, UserError
from simclr_tf.evaluation.accuracy import describe_accuracy
from simclr_tf.runs.failures import same_command
from simclr_tf.runs.folder import (
    check_is_no_file,
    check_writable,
    choose_model_dir,
    planned_steps,
    stored_config,
    stored_network,
    writing,
)
from simclr_tf.runs.identity import adopt_run
from simclr_tf.runs.initial_weights import open_weights, step_of
from simclr_tf.runs.labels import without_probe
from simclr_tf.runs.networks import build_classifier, build_simclr
from simclr_tf.runs.plan import check_divisible
from simclr_tf.runs.preparation import PreparedRun, open_dataset, open_devices, open_evaluated
from simclr_tf.training.network import Network

SECONDS_BETWEEN_LOOKS = 5.0


def evaluate_trained(run: PreparedRun, model: Network, *, step: int) -> dict[str, float]:
    """Evaluates the network of a run that has just been trained to `step`, on the run's devices."""
    writes = run.workers.is_chief
    dataset = run.eval_dataset
    assert dataset is not None  # `prepare` opens it where it is asked for
    saved = f"the weights are saved at step {step:,}, {same_command(run.config)} evaluates them"
    with stopping.during(f"while evaluating; {saved}"):
        return _evaluate(run.config, dataset, run.strategy, model, step=step, writes=writes)


def evaluate_checkpoint(config: Config) -> dict[str, float]:
    """Evaluates the classifier that `checkpoint` holds, once.

    Raises:
      UserError: it holds none, or one of other classes than the data set's.
    """
    config, weights = open_weights(config)
    assert weights is not None  # validation asks for a checkpoint
    if weights.description.num_classes is None:
        raise SettingError(
            "checkpoint",
            config.task.checkpoint,
            "has no classifier to evaluate",
            "measure its features with `mode=probe`",
        )
    if "ft_proj_selector" not in config.given:
        config = config.replace(ft_proj_selector=weights.description.projection_selector)
    config = choose_model_dir(config)
    setting = f"`checkpoint={config.task.checkpoint}`"
    dataset, strategy = _open(config, weights.description, setting)
    model = _build(build_classifier, config, weights.description.num_classes, strategy)
    partial = config.task.allow_partial_checkpoint
    print(restore_parts(model.parts, weights, allow_partial=partial))
    check_writable(config.task.model_dir)
    with dataset.report_bad_images(config.task.model_dir):
        return _evaluate(config, dataset, strategy, model, step=step_of(weights))


def follow_run(config: Config) -> None:
    """Evaluates each new checkpoint of `model_dir` as it appears, until the run's last step.

    Settings that are not given are the run's own.

    Raises:
      UserError: `model_dir` holds no run, or a setting contradicts it.
    """
    folder = config.task.model_dir
    check_is_no_file(folder)
    stored, network = stored_config(folder), stored_network(folder)
    if stored is None or network is None:
        raise SettingError(
            "model_dir",
            folder,
            f"holds no run (no {'config' if stored is None else 'simclr'}.json)",
            "start one, or give the folder that training printed",
        )
    config = adopt_run(config, stored)
    if network.num_classes is None:
        raise without_probe(folder)
    dataset, strategy = _open(config, network, f"`model_dir={folder}`", run=folder)
    last = planned_steps(config, lambda: open_dataset(config, run=folder))
    build = build_simclr if config.task.pretraining else build_classifier
    model = _build(build, config, network.num_classes, strategy)
    check_writable(folder)
    with dataset.report_bad_images(folder):
        for step in _new_steps(folder):
            try:
                restore_parts(model.parts, find_weights(numbered.prefix_of(folder, step)))
            except UserError:
                if step in numbered.list_steps(folder):
                    raise
                continue  # training has just dropped it for newer ones
            _evaluate(config, dataset, strategy, model, step=step)
            if step >= last:
                return


def _new_steps(folder: str) -> Iterator[int]:
    """Yields the step of the newest checkpoint, whenever there is a newer one."""
    done = -1
    while True:
        newest = max(numbered.list_steps(folder), default=-1)
        if newest > done:
            done = newest
            yield newest
        else:
            time.sleep(SECONDS_BETWEEN_LOOKS)


def _open(
    config: Config, network: Description, setting: str, *, run: str = ""
) -> tuple[data.ImageDataset, tf.distribute.Strategy]:
    """Opens what evaluation needs, and nothing else.

    Args:
      config: what was asked.
      network: that is evaluated; the data set's classes get its numbers.
      setting: that named it, for errors.
      run: its folder, if it reads this data set.

    Raises:
      UserError: it cannot be had.
    """
    strategy = open_devices(config.hardware, seed=config.task.seed, alone=True)
    replicas = strategy.num_replicas_in_sync
    check_divisible("eval_batch_size", config.evaluation.eval_batch_size, replicas)
    dataset, notes = open_evaluated(config, network, setting, run=run)
    print(*notes, sep="\n", flush=True)
    return dataset, strategy


def _build(
    build: Callable[[Config, int], Network],
    config: Config,
    num_classes: int | None,
    strategy: tf.distribute.Strategy,
) -> Network:
    """Returns the network with its classifier."""
    assert num_classes is not None  # those without were told apart before
    with strategy.scope():
        model = build(config, num_classes)
        model.compile()
    return model


def _evaluate(
    config: Config,
    dataset: data.ImageDataset,
    strategy: tf.distribute.Strategy,
    model: Network,
    *,
    step: int,
    writes: bool = True,
) -> dict[str, float]:
    """Evaluates a compiled model on every example of the split, once each.

    Writes result.json and result_<step>.json, with the reference's keys, and TensorBoard events.

    Args:
      config: its data, evaluation and model_dir are read.
      dataset: whose split is evaluated.
      strategy: of the model.
      model: with a classifier.
      step: to which it was trained.
      writes: whether this process writes and prints; all workers of a run evaluate, one writes.

    Returns:
      What result.json holds.
    """
    asked, split = config.evaluation, config.data.eval_split
    examples = dataset.num_examples(split)
    input_fn = data.eval_input_fn(
        dataset,
        split=split,
        global_batch_size=asked.eval_batch_size,
        image_size=config.data.image_size,
        max_steps=asked.eval_steps,
    )
    metrics = model.evaluate(
        strategy.distribute_datasets_from_function(input_fn),
        steps=data.eval_steps(examples, asked.eval_batch_size, max_steps=asked.eval_steps),
        verbose=0,
        return_dict=True,
    )
    # The sum of weights: bad files and padding have none.
    counted = int(tf.convert_to_tensor(model.top_1.count))
    if not counted:
        raise SettingError(
            "eval_split",
            split,
            f": none of the {examples:,} images has a label and can be read",
            "give another split or data set",
        )
    result = {name: float(value) for name, value in metrics.items()}
    result["eval/regularization_loss"] = float(model.penalty())
    result["eval/examples"] = float(counted)
    result["global_step"] = float(step)
    if writes:
        _write(config, result, step=step)
        print(
            f"step {step:,}, {split} ({counted:,} images): "
            f"top-1 {describe_accuracy(result['eval/label_top_1_accuracy'], counted)}, "
            f"top-5 {describe_accuracy(result['eval/label_top_5_accuracy'], counted)}",
            flush=True,
        )
    return result


def _write(config: Config, result: dict[str, float], *, step: int) -> None:
    folder, name = config.task.model_dir, config.evaluation.eval_name
    events = files.join(folder, f"eval_{name}" if name else "eval")
    with writing(folder, f"result.json, {result},"):
        files.write_json(files.join(folder, f"result_{step}.json"), result)
        files.write_json(files.join(folder, "result.json"), result)
        writer = tf.summary.create_file_writer(events)
        with writer.as_default(step=step):
            for key, value in result.items():
                if key.startswith("eval/"):
                    tf.summary.scalar(key, value)
        writer.close()
