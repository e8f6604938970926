"""Evaluation of the supervised head: top-1 and top-5 accuracy, into result.json."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from simclr_tf import data, files
from simclr_tf.run_identity import adopt_run, check_projection_selector
from simclr_tf.checkpoints import TrainingState, restore_parts
from simclr_tf.config import Config
from simclr_tf.errors import UserError
from simclr_tf.training.network import Network
from simclr_tf.workflows.initial_weights import open_checkpoint
from simclr_tf.workflows.run_folder import stored_config
from simclr_tf.workflows.session import Session, build_compiled, open_session


def evaluate(model: Network, session: Session, *, step: int) -> dict[str, float]:
    """Evaluates a compiled model on every example of `eval_split`, once each.

    Writes result.json and result_<step>.json, with the reference's keys, and TensorBoard events.

    Returns:
      What result.json holds.
    """
    config, dataset = session.config, session.dataset
    examples = dataset.num_examples(config.eval_split)
    input_fn = data.eval_input_fn(
        dataset,
        split=config.eval_split,
        global_batch_size=config.eval_batch_size,
        image_size=config.image_size,
        max_steps=config.eval_steps,
    )
    metrics = model.evaluate(
        session.strategy.distribute_datasets_from_function(input_fn),
        steps=data.eval_steps(examples, config.eval_batch_size, max_steps=config.eval_steps),
        verbose=0,
        return_dict=True,
    )
    # The sum of weights: bad files and padding have none.
    counted = int(tf.convert_to_tensor(model.top_1.count))
    if not counted:
        raise UserError(
            f"--eval_split={config.eval_split}: none of the {examples:,} files can be read; "
            "give another split or data set"
        )
    result = {name: float(value) for name, value in metrics.items()}
    result["eval/regularization_loss"] = float(model.penalty())
    if not session.workers.is_chief:
        return result
    folder = f"eval_{config.eval_name}" if config.eval_name else "eval"
    writer = tf.summary.create_file_writer(files.join(config.model_dir, folder))
    with writer.as_default(step=step):
        for name, value in result.items():
            tf.summary.scalar(name, value)
    writer.close()
    result["global_step"] = float(step)
    files.write_json(files.join(config.model_dir, f"result_{step}.json"), result)
    files.write_json(files.join(config.model_dir, "result.json"), result)
    print(
        f"step {step:,}, {config.eval_split} ({counted:,} images): "
        f"top-1 {result['eval/label_top_1_accuracy']:.2%}, "
        f"top-5 {result['eval/label_top_5_accuracy']:.2%}",
        flush=True,
    )
    return result


def evaluate_checkpoint(config: Config) -> None:
    """Evaluates the classifier that `--checkpoint` holds, once.

    Raises:
      UserError: it holds none, or one of other classes than the data set's.
    """
    asked = config
    config, source = open_checkpoint(config)
    assert source is not None
    head = source.metadata["supervised_head"]
    if head is None:
        raise UserError(
            f"--checkpoint={config.checkpoint} has no classifier to evaluate; measure its features "
            "with --mode=probe"
        )
    if "ft_proj_selector" not in asked.explicit:
        config = dataclasses.replace(config, ft_proj_selector=head["ft_proj_selector"])
    check_projection_selector(config)
    session = open_session(config)
    config, dataset = session.config, session.dataset
    dataset.check_split(config.eval_split, flag="--eval_split")
    dataset.check_labels(config.eval_split)
    model = build_compiled(session)
    print(restore_parts(model.parts, source, allow_partial=config.allow_partial_checkpoint))
    with dataset.report_bad_images(config.model_dir):
        evaluate(model, session, step=0)


def follow_run(config: Config) -> None:
    """Evaluates each new checkpoint of `model_dir` as it appears, until the run's last step.

    Flags that are not given are the run's own.

    Raises:
      UserError: `model_dir` holds no run, or a flag contradicts it.
    """
    stored = stored_config(config.model_dir)
    if stored is None:
        raise UserError(
            f"--model_dir={config.model_dir} holds no run (no config.json); start one, or give "
            "the folder that training printed"
        )
    session = open_session(adopt_run(config, stored))
    config = session.config
    dataset = session.dataset
    if session.workers.count > 1:
        raise UserError("--mode=eval follows a run from one machine; unset TF_CONFIG")
    dataset.check_split(config.eval_split, flag="--eval_split")
    model = build_compiled(session)
    if model.supervised_head is None:
        raise UserError(
            f"--model_dir={config.model_dir} was pre-trained without a linear probe; measure its "
            f"features with --mode=probe --checkpoint={config.model_dir}"
        )
    dataset.check_labels(config.eval_split)
    state = TrainingState(model, config.model_dir, config.keep_checkpoint_max)
    with dataset.report_bad_images(config.model_dir):
        for path in tf.train.checkpoints_iterator(config.model_dir, min_interval_secs=15):
            step = state.restore(path)
            if step is None:
                continue
            evaluate(model, session, step=step)
            if step >= session.plan.train_steps:
                return
