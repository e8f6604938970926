"""Every flag: name, default, meaning, grouped as a user thinks of them.

The flags of the reference TF2 release (google-research/simclr, tf2/run.py) keep their names,
meanings and defaults; only `use_tpu` differs (off unless asked for). No TensorFlow here, so that
`--help` and a misspelt flag are answered at once.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable

from absl import flags


def define(values: flags.FlagValues) -> dict[str, list[str]]:
    """Defines all flags on `values` and returns their names by theme, in the order of `--help`."""
    groups: dict[str, list[str]] = {}
    kinds: dict[str, Callable] = {
        "bool": flags.DEFINE_bool,
        "int": flags.DEFINE_integer,
        "float": flags.DEFINE_float,
        "str": flags.DEFINE_string,
        "floats": flags.DEFINE_list,
    }
    for theme, rows in _FLAGS.items():
        groups[theme] = [row[0] for row in rows]
        for name, kind, default, text in rows:
            if isinstance(kind, list):
                flags.DEFINE_enum(name, default, kind, text, flag_values=values)
            else:
                kinds[kind](name, default, text, flag_values=values)
    flags.DEFINE_bool("help", False, "Show this page.", flag_values=values)
    return groups


def help_text(values: flags.FlagValues, groups: dict[str, list[str]]) -> str:
    """Returns the `--help` page."""
    lines = [
        "SimCLR for TensorFlow: pre-train, evaluate, fine-tune and export image encoders.",
        "",
        "  python -m simclr_tf.run --train_mode=pretrain --dataset=cifar10 --image_size=32 ...",
        "  python -m simclr_tf.run --train_mode=finetune --checkpoint=runs/NAME ...",
        "  python -m simclr_tf.run --flagfile=flags/RECIPE.flags [--any_flag=overrides]",
    ]
    for theme, names in groups.items():
        lines += ["", f"{theme}:"]
        for name in names:
            flag = values[name]
            default = ",".join(flag.default) if isinstance(flag.default, list) else flag.default
            shown = f" Default: {default}." if default is not None else ""
            lines.append(f"  --{name}")
            lines += textwrap.wrap(
                flag.help + shown, 92, initial_indent=" " * 6, subsequent_indent=" " * 6
            )
    return "\n".join(lines)


_FLAGS: dict[str, list[tuple]] = {
    "What to do": [
        (
            "train_mode",
            ["pretrain", "finetune"],
            "pretrain",
            "pretrain: contrastive, without labels. finetune: supervised, from --checkpoint.",
        ),
        (
            "mode",
            ["train", "eval", "train_then_eval", "probe", "show_views", "export"],
            "train",
            "train; eval: evaluate every new checkpoint of --model_dir as it appears, or "
            "--checkpoint's classifier once; "
            "train_then_eval; probe: kNN and logistic regression on the features of --checkpoint; "
            "show_views: a picture of augmented pairs; export: --checkpoint as SavedModel or in "
            "another --format.",
        ),
        (
            "model_dir",
            "str",
            None,
            "Where the run's files go. Started again with the same flags, a run there continues. "
            "If not given, a new folder under runs/ is made.",
        ),
        (
            "checkpoint",
            "str",
            None,
            "Where weights come from: a SavedModel folder, a checkpoint path (.../ckpt-100) or "
            "another run's model_dir; of this package or the reference release. Used unless "
            "--model_dir already holds a checkpoint.",
        ),
        (
            "allow_partial_checkpoint",
            "bool",
            False,
            "Whether to take from --checkpoint what fits, and list what does not. Flags then "
            "decide about the network where they contradict it.",
        ),
        ("seed", "int", 0, "Seed of initial weights, data order and augmentation."),
    ],
    "Data": [
        (
            "dataset",
            "str",
            "imagenet2012",
            "Name of a TFDS image data set (cifar10, fashion_mnist, imagenet2012, ...), "
            "or digits, which is bundled. folder:/PATH: your own pictures, in any tree of folders.",
        ),
        ("data_dir", "str", None, "Directory where dataset is stored."),
        (
            "folder_labels",
            "str",
            "none",
            "Labels of --dataset=folder:/PATH. none; folders: the first folder below /PATH; or a "
            "CSV file with the header path,label and paths relative to /PATH.",
        ),
        (
            "on_bad_image",
            ["skip", "fail"],
            "skip",
            "What to do about a file of --dataset=folder:/PATH that cannot be read. skip: go on, "
            "and name it in bad_images.txt in --model_dir; fail: stop.",
        ),
        ("train_split", "str", "train", "Split for training, in TFDS syntax (train[:10%])."),
        ("eval_split", "str", "validation", "Split for evaluation, in TFDS syntax."),
        ("image_size", "int", 224, "Input image size; 32 and below use the CIFAR stem."),
        (
            "cache_dataset",
            "bool",
            False,
            "Whether to cache the entire dataset, decoded, in memory. Not for ImageNet.",
        ),
    ],
    "Augmentation": [
        ("color_jitter_strength", "float", 1.0, "The strength of color jittering; 0 turns it off."),
        ("use_blur", "bool", True, "Whether to use Gaussian blur during pretraining."),
        (
            "augment_on",
            ["auto", "host", "device"],
            "auto",
            "Where views are made: in the input pipeline, or in the training step, to which the "
            "host then ships bytes. auto: on the device where that is an accelerator.",
        ),
    ],
    "Encoder and heads": [
        ("resnet_depth", "int", 50, "Depth of ResNet: 18, 34, 50, 101, 152 or 200."),
        ("width_multiplier", "float", 1.0, "Multiplier of the network's width; may be a fraction."),
        ("sk_ratio", "float", 0.0, "Above 0 enables selective kernels (SimCLRv2: 0.0625)."),
        ("se_ratio", "float", 0.0, "Above 0 enables squeeze-and-excitation."),
        ("batch_norm_decay", "float", 0.9, "Batch norm decay parameter."),
        (
            "global_bn",
            "bool",
            True,
            "Whether to aggregate batch norm statistics across replicas. Without it a replica "
            "can tell positives by their shared local statistics.",
        ),
        (
            "proj_head_mode",
            ["none", "linear", "nonlinear"],
            "nonlinear",
            "How the head projection is done.",
        ),
        ("proj_out_dim", "int", 128, "Number of head projection dimension."),
        ("num_proj_layers", "int", 3, "Number of non-linear head layers."),
    ],
    "Contrastive loss": [
        ("temperature", "float", 0.1, "Temperature parameter for contrastive loss."),
        ("hidden_norm", "bool", True, "Whether to normalise projections to unit length."),
        (
            "lineareval_while_pretraining",
            "bool",
            True,
            "Whether to train a linear classifier on the features while pre-training, behind a "
            "stop-gradient.",
        ),
    ],
    "Length and batch": [
        ("train_batch_size", "int", 512, "Images per step, over all replicas."),
        ("train_epochs", "int", 100, "Number of epochs to train for."),
        ("train_steps", "int", 0, "Number of steps to train for. Overrides train_epochs."),
        ("eval_batch_size", "int", 256, "Batch size for eval, over all replicas."),
        ("eval_steps", "int", 0, "Number of steps to eval for. 0: the whole split."),
    ],
    "Optimizer": [
        (
            "optimizer",
            ["momentum", "adam", "lars", "lamb", "adamw"],
            "lars",
            "Optimizer to use. lamb needs tensorflow-addons (Python 3.10 or 3.11).",
        ),
        ("learning_rate", "float", 0.3, "Initial learning rate per batch size of 256."),
        (
            "learning_rate_scaling",
            ["linear", "sqrt"],
            "linear",
            "Scaled learning rate: linear, learning_rate * batch / 256; sqrt, learning_rate * "
            "sqrt(batch).",
        ),
        ("warmup_epochs", "float", 10.0, "Number of epochs of linear warm-up."),
        ("weight_decay", "float", 1e-6, "Amount of weight decay to use."),
        ("momentum", "float", 0.9, "Momentum parameter."),
    ],
    "Fine-tuning": [
        (
            "fine_tune_after_block",
            "int",
            -1,
            "The block after which layers are trained. -1: everything; 0: all after the stem; "
            "4: the classifier only (linear evaluation).",
        ),
        (
            "ft_proj_selector",
            "int",
            0,
            "Which layer of the projection head the classifier reads. 0: none, the encoder's "
            "features; -1: the final layer.",
        ),
        ("zero_init_logits_layer", "bool", False, "Whether the classifier starts at zero."),
    ],
    "Probe": [
        (
            "label_fractions",
            "floats",
            ["0.01", "0.1", "1"],
            "Fractions of --train_split's labels that --mode=probe fits on, class-balanced.",
        ),
    ],
    "Export": [
        (
            "format",
            ["saved_model", "tflite", "onnx"],
            "saved_model",
            "What --mode=export writes. saved_model: for TensorFlow Serving; tflite: TensorFlow "
            "Lite, built-in operations only; onnx: needs pip install '.[onnx]'.",
        ),
        (
            "export_precision",
            ["float32", "bfloat16"],
            "float32",
            "How SavedModels store weights; they compute in float32. bfloat16 halves the file.",
        ),
    ],
    "Checkpoints and logs": [
        ("checkpoint_epochs", "int", 1, "Number of epochs between checkpoints."),
        ("checkpoint_steps", "int", 0, "Number of steps between checkpoints, if above 0."),
        ("keep_checkpoint_max", "int", 5, "Maximum number of checkpoints to keep."),
        (
            "keep_hub_module_max",
            "int",
            1,
            "Maximum number of SavedModels to keep. 0: all. One that was the newest until a minute "
            "ago stays until the next export: a server may be loading it.",
        ),
        (
            "train_summary_steps",
            "int",
            100,
            "Steps between TensorBoard summaries of training. 0: at checkpoints only.",
        ),
        ("eval_name", "str", None, "Name for eval: its events go to eval_NAME/ in model_dir."),
    ],
    "Hardware": [
        (
            "precision",
            ["float32", "bfloat16"],
            "float32",
            "Compute type; weights and the loss stay float32. bfloat16 pays on TPUs, recent GPUs "
            "and CPUs with AMX.",
        ),
        (
            "strategy",
            ["auto", "one_device", "mirrored", "multi_worker", "tpu"],
            "auto",
            "How devices share a batch. one_device; mirrored: all GPUs of this machine, or its "
            "virtual devices; multi_worker: the machines that the environment's TF_CONFIG lists. "
            "auto: tpu with --use_tpu, multi_worker with TF_CONFIG, mirrored where there are "
            "several devices, else one_device.",
        ),
        (
            "num_virtual_devices",
            "int",
            1,
            "Splits the CPU into so many devices, to try out on one machine what several do.",
        ),
        (
            "steps_per_loop",
            "int",
            0,
            "Steps that a device takes before the host looks at it again; summaries and "
            "checkpoints wait for that. 0: --train_summary_steps on TPUs, else 1.",
        ),
        (
            "jit_compile",
            "bool",
            False,
            "Whether XLA compiles the training step of one device, or of several GPUs. TPUs "
            "always do; on CPUs it is slower.",
        ),
        ("use_tpu", "bool", False, "Whether to run on TPU: --strategy=tpu."),
        ("tpu_name", "str", None, "The Cloud TPU: its name, or a grpc://ip.address:8470 url."),
        ("tpu_zone", "str", None, "GCE zone of the Cloud TPU, if it cannot be detected."),
        ("gcp_project", "str", None, "Project of the Cloud TPU, if it cannot be detected."),
        ("master", "str", None, "Address of the TensorFlow master, if there is no tpu_name."),
    ],
}
