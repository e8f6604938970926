"""What is asked meets what is stored."""

from __future__ import annotations

import pytest

from simclr_tf import flag_definitions
from simclr_tf.config import Config, parse
from simclr_tf.errors import SettingError, UserError
from simclr_tf.runs import identity

pytestmark = pytest.mark.smoke

STORED = parse(
    [
        *("--dataset=digits", "--resnet_depth=18", "--image_size=8", "--temperature=0.3"),
        *("--eval_split=test", "--data_dir=/data", "--eval_batch_size=7", "--eval_steps=3"),
        *("--strategy=mirrored", "--num_virtual_devices=4", "--keep_checkpoint_max=2"),
    ]
).to_json()


def evaluating(*given: str) -> Config:
    return parse(["--mode=eval", "--model_dir=x", *given])


def test_what_makes_another_run() -> None:
    """Every row says so; these are the ones that may change when a run goes on."""
    may_change = (
        "mode model_dir data_dir on_bad_image eval_split eval_batch_size eval_steps eval_name "
        "eval_dataset label_fractions step augment_on checkpoint_epochs checkpoint_steps "
        "keep_checkpoint_max keep_hub_module_max train_summary_steps strategy num_virtual_devices "
        "profile_steps steps_per_loop jit_compile use_tpu tpu_name tpu_zone gcp_project master "
        "export_precision format on_nonfinite allow_partial_checkpoint trust_checkpoint "
        "plan_hours protocol seeds knn_k knn_temperature knn_every_epochs linear_augmentation "
        "transfer_datasets layer output query"
    )
    assert set(may_change.split()) == identity.NOT_IDENTITY
    same = parse(
        [
            *("--dataset=digits", "--resnet_depth=18", "--image_size=8", "--temperature=0.3"),
            *("--eval_name=b", "--strategy=one_device"),
        ]
    )
    identity.check_same_run(same, STORED)
    with pytest.raises(SettingError, match="temperature=0.3, not 0.1"):
        identity.check_same_run(same.replace(temperature=0.1), STORED)


def test_how_to_train_longer_is_said() -> None:
    with pytest.raises(SettingError, match="train longer, `checkpoint=.*` and another `model_dir`"):
        identity.adopt_run(evaluating("--train_epochs=999"), STORED)


def test_evaluation_takes_what_is_not_given_from_the_run() -> None:
    adopted = identity.adopt_run(evaluating(), STORED)
    assert (adopted.data.dataset, adopted.architecture.resnet_depth) == ("digits", 18)
    assert adopted.architecture.cifar_stem
    assert (adopted.data.eval_split, adopted.data.data_dir) == ("test", "/data")
    assert (adopted.evaluation.eval_batch_size, adopted.evaluation.eval_steps) == (7, 3)
    # Where it runs, and what it keeps, is its own.
    assert (adopted.hardware.strategy, adopted.hardware.num_virtual_devices) == ("auto", 1)
    assert (adopted.task.mode, adopted.files.keep_checkpoint_max) == ("eval", 5)


def test_evaluation_keeps_what_is_given() -> None:
    adopted = identity.adopt_run(evaluating("--eval_split=train", "--eval_batch_size=9"), STORED)
    assert (adopted.data.eval_split, adopted.evaluation.eval_batch_size) == ("train", 9)
    assert adopted.data.data_dir == "/data"
    with pytest.raises(SettingError, match="resnet_depth=18, not 34"):
        identity.adopt_run(evaluating("--resnet_depth=34"), STORED)


def test_another_data_set_is_evaluated_on_by_its_own_flag() -> None:
    with pytest.raises(SettingError, match="dataset=digits, not cifar10; .*`eval_dataset=cifar10`"):
        identity.adopt_run(evaluating("--dataset=cifar10"), STORED)
    own = ["--eval_dataset=folder:/mine", "--folder_labels=folders"]
    adopted = identity.adopt_run(evaluating(*own), STORED)
    assert (adopted.data.dataset, adopted.data.eval_dataset) == ("digits", "folder:/mine")
    assert adopted.data.folder_labels == "folders"
    stored = {**STORED, "eval_dataset": "folder:/mine", "folder_labels": "folders"}
    adopted = identity.adopt_run(evaluating(), stored)
    assert (adopted.data.eval_dataset, adopted.data.folder_labels) == ("folder:/mine", "folders")
    # Labels of pictures that a run only measures by do not make it another run.
    identity.check_same_run(adopted.replace(eval_dataset=None, folder_labels="none"), stored)
    stored["dataset"] = "folder:/a"
    with pytest.raises(SettingError, match="folder_labels=folders, not none"):
        identity.check_same_run(adopted.replace(dataset="folder:/a", folder_labels="none"), stored)


def test_a_run_of_before_there_were_few_labels_took_all() -> None:
    before = {name: value for name, value in STORED.items() if name != "labels_per_class"}
    asked = identity.adopt_run(evaluating(), before).replace(train_mode="finetune")
    before["train_mode"] = "finetune"
    identity.check_same_run(asked, before)
    with pytest.raises(SettingError, match="labels_per_class=0, not 5"):
        identity.check_same_run(asked.replace(labels_per_class=5), before)


def probing(*given: str) -> Config:
    return parse(["--mode=probe", "--model_dir=x", *given])


def test_a_probe_takes_data_from_the_run_and_may_have_others() -> None:
    stored = {**STORED, "dataset": "folder:/a", "folder_labels": "none", "seed": 3}
    adopted, same = identity.adopt_probed_run(probing("--folder_labels=folders"), stored)
    assert same
    assert (adopted.data.dataset, adopted.data.folder_labels) == ("folder:/a", "folders")
    assert (adopted.data.eval_split, adopted.task.seed) == ("test", 3)
    assert adopted.evaluation.eval_batch_size == 7
    assert adopted.task.mode == "probe"
    asked = probing("--dataset=cifar10", "--eval_batch_size=9")
    adopted, same = identity.adopt_probed_run(asked, {**stored, "folder_labels": "folders"})
    assert not same
    assert (adopted.data.dataset, adopted.data.folder_labels) == ("cifar10", "none")
    assert (adopted.data.eval_split, adopted.data.data_dir) == ("validation", None)
    assert adopted.evaluation.eval_batch_size == 9


def test_fields_of_another_version_are_left_out() -> None:
    adopted = identity.adopt_run(evaluating(), {**STORED, "no_such_setting": [1, {"a": 2}]})
    assert adopted == identity.adopt_run(evaluating(), STORED)


@pytest.mark.parametrize(
    ("name", "value"),
    [("temperature", "hot"), ("temperature", -1), ("resnet_depth", True), ("image_size", 8.5)]
    + [("dataset", None), ("proj_head_mode", "both"), ("seed", 2**40), ("cache_dataset", 1)],
)
def test_a_damaged_configuration_is_one_line(name: str, value: object) -> None:
    with pytest.raises(UserError, match=f"config.json says {name}=.*damaged"):
        identity.adopt_run(evaluating(), {**STORED, name: value})


def test_every_row_is_a_field_and_the_other_way_round() -> None:
    config = parse([])
    names = [row.name for row in flag_definitions.rows()]
    assert len(names) == len(set(names))
    assert config.flat().keys() - set(names) == {"torch_normalization", "stem_relu", "stem_padding"}
    assert config.replace(image_size=32).architecture.cifar_stem
    assert not config.replace(image_size=33).architecture.cifar_stem
    with pytest.raises(TypeError, match="no_such"):
        config.replace(no_such=1)
