"""Every flag, a row each: name, default, meaning, bound, and whether it makes a run what it is.

The flags of the reference TF2 release (google-research/simclr, tf2/run.py) keep their names,
meanings and defaults; only `use_tpu` differs (off unless asked for). No TensorFlow here, so that
`--help` and a misspelt flag are answered at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from absl import flags

from simclr_tf import architecture, bounds
from simclr_tf.bounds import Bound, OneOf, Range, RangeOr, Steps
from simclr_tf.paths import PathIn
from simclr_tf.pixel_rule import Color

_AT_LEAST_0 = Range(0.0)
_FRACTION = Range(0.0, 1.0, below_high=True)
# Numbers of images, steps and files, none of which comes near: beyond, TensorFlow's numbers end.
_COUNT = Range(0, 1_000_000_000)
_BATCH = Range(1, 1_000_000)
_MODES = (
    *("train", "eval", "train_then_eval", "probe", "evaluate", "compare", "embed", "neighbors"),
    *("report", "show_views", "export", "plan"),
)
PROTOCOLS = (
    *("knn", "logistic_regression", "linear", "clustering", "semi_supervised", "transfer"),
)
"""In the order in which they are followed."""


@dataclasses.dataclass(frozen=True)
class Flag:
    """A row.

    Attributes:
      name: without dashes.
      default: its type is the flag's; None makes a text that need not be given.
      text: what it means, for `--help`.
      bound: what its value, or each of its values, must be; None for what anything may be.
      identity: whether another value makes another run. False: it says how a run is executed,
        measured or kept, and may change when the run is continued.
      path: which of its values hold a path, None for none. `config.parse` puts paths in order.
    """

    name: str
    default: Any
    text: str
    bound: Bound | None = None
    identity: bool = True
    path: PathIn | None = None


@dataclasses.dataclass(frozen=True)
class Group:
    """Flags that belong together.

    Attributes:
      name: of the field of `config.Config` that holds their values.
      title: on the help page.
      flags: its rows.
    """

    name: str
    title: str
    flags: tuple[Flag, ...]


def rows() -> Iterator[Flag]:
    """Yields the rows of all groups."""
    for group in GROUPS:
        yield from group.flags


def define(values: flags.FlagValues) -> None:
    """Defines all flags on `values`."""
    kinds: dict[type, Any] = {
        bool: flags.DEFINE_bool,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
        type(None): flags.DEFINE_string,
        tuple: flags.DEFINE_list,
    }
    for row in rows():
        if isinstance(row.bound, OneOf) and isinstance(row.default, str):
            choices = list(row.bound.values)
            flags.DEFINE_enum(row.name, row.default, choices, row.text, flag_values=values)
            continue
        if isinstance(row.bound, RangeOr):
            flags.DEFINE(_NumberOr(row.bound), row.name, row.default, row.text, values)
            continue
        default = list(map(str, row.default)) if isinstance(row.default, tuple) else row.default
        kinds[type(row.default)](row.name, default, row.text, flag_values=values)


class _NumberOr(flags.ArgumentParser[int | str]):
    """Reads a whole number, or the one word that may stand in its place."""

    def __init__(self, bound: RangeOr) -> None:
        super().__init__()
        self._bound = bound

    def parse(self, argument: int | str) -> int | str:
        try:
            return self._bound.parse(argument) if isinstance(argument, str) else argument
        except ValueError:
            raise ValueError(f"must be {self._bound}") from None

    def flag_type(self) -> str:
        return "int"


def _architecture(name: str, default: Any, text: str) -> Flag:
    return Flag(name, default, text, architecture.BOUNDS[name])


GROUPS = (
    Group(
        "task",
        "What to do",
        (
            Flag(
                "train_mode",
                "pretrain",
                "pretrain: contrastive, without labels. finetune: supervised, from --checkpoint. "
                "distill: a student learns what --teacher predicts, without labels.",
                OneOf(("pretrain", "finetune", "distill")),
            ),
            Flag(
                "mode",
                "train",
                "train; eval: evaluate every new checkpoint of --model_dir as it appears, or "
                "--checkpoint's classifier once; train_then_eval; probe: kNN and logistic "
                "regression on the features of --checkpoint, or of the run in --model_dir; "
                "evaluate: the same by the papers' protocols, see --protocol; compare: the runs in "
                "the folders that follow, side by side; embed: features of pictures as a file; "
                "neighbors: pictures that are nearest to a --query, nearly the same as others, or "
                "unlike all; report: all that is known of the run in --model_dir as one HTML page, "
                "with other runs' accuracies beside it if their folders follow; "
                "show_views: a picture of augmented pairs; "
                "export: --checkpoint as SavedModel or in another --format; plan: what training "
                "would take on this machine, and a command for it.",
                OneOf(_MODES),
                identity=False,
            ),
            Flag(
                "model_dir",
                None,
                "Where the run's files go. Started again with the same flags, a run there "
                "continues. If not given, a new folder under runs/ is made.",
                identity=False,
                path=PathIn(),
            ),
            Flag(
                "checkpoint",
                None,
                "Where weights come from: a SavedModel folder, a checkpoint path (.../ckpt-100) or "
                "another run's model_dir; of this package or the reference release. Used unless "
                "--model_dir already holds a checkpoint; then it may be left out, or be gone.",
                path=PathIn(),
            ),
            Flag(
                "allow_partial_checkpoint",
                False,
                "Whether to take from --checkpoint what fits, and list what does not. Flags then "
                "decide about the network where they contradict it.",
                identity=False,
            ),
            Flag(
                "trust_checkpoint",
                False,
                "Whether --checkpoint or --teacher may be a SavedModel with operations that could "
                "use files, network or Python once it is loaded.",
                identity=False,
            ),
            Flag(
                "seed",
                0,
                "Seed of initial weights, data order and augmentation.",
                bounds.SEED,
            ),
            Flag(
                "plan_hours",
                0.0,
                "Hours for which --mode=plan proposes image size, network, batch and epochs, where "
                "they are not given. 0: it takes all as they are.",
                Range(0.0, 100_000.0),
                identity=False,
            ),
        ),
    ),
    Group(
        "data",
        "Data",
        (
            Flag(
                "dataset",
                "imagenet2012",
                "Name of a TFDS image data set (cifar10, fashion_mnist, imagenet2012, ...), or "
                "digits, which is bundled. folder:/PATH: your own pictures, in any tree of "
                "folders.",
                path=PathIn(prefix="folder:"),
            ),
            Flag(
                "data_dir",
                None,
                "Directory where dataset is stored.",
                identity=False,
                path=PathIn(),
            ),
            Flag(
                "folder_labels",
                "none",
                "Labels of --dataset=folder:/PATH. none; folders: the first folder below /PATH, or "
                "below its splits; or a CSV file, here or in /PATH, with the header path,label and "
                "paths relative to /PATH.",
                path=PathIn(words=("none", "folders")),
            ),
            Flag(
                "on_bad_image",
                "skip",
                "What to do about a file of --dataset=folder:/PATH that cannot be read. skip: go "
                "on, and name it in bad_images.txt in --model_dir; fail: stop.",
                OneOf(("skip", "fail")),
                identity=False,
            ),
            Flag("train_split", "train", "Split for training, in TFDS syntax (train[:10%])."),
            Flag(
                "eval_split",
                "validation",
                "Split for evaluation, in TFDS syntax.",
                identity=False,
            ),
            Flag(
                "eval_dataset",
                None,
                "Another data set for evaluation and probing, as --dataset; --eval_split is then "
                "one of its splits. Its classes go by name.",
                identity=False,
                path=PathIn(prefix="folder:"),
            ),
            Flag(
                "labels_per_class",
                0,
                "Number of labeled images of each class of --train_split to fine-tune on (or to "
                "learn from beside a --teacher), or to "
                "fit logistic regression on in --mode=probe and --mode=evaluate, drawn by --seed. "
                "0: all.",
                _COUNT,
            ),
            Flag(
                "image_size",
                224,
                "Input image size in pixels; 32 and below use the CIFAR stem.",
                architecture.IMAGE_SIZE,
            ),
            Flag(
                "alpha_background",
                "white",
                "The color on which transparent pictures are laid: a name, or #RRGGBB.",
                Color(),
            ),
            Flag(
                "cache_dataset",
                False,
                "Whether to cache the entire dataset, decoded, in memory. Not for ImageNet. Images "
                "of one size in one file, up to 256 MiB decoded (CIFAR-10: 147), always are.",
            ),
        ),
    ),
    Group(
        "augmentation",
        "Augmentation",
        (
            Flag(
                "min_crop_area",
                0.08,
                "The smallest share of an image that a view shows in pretraining.",
                bounds.MIN_CROP_AREA,
            ),
            Flag(
                "color_jitter_strength",
                1.0,
                "The strength of color jittering; 0 turns it off.",
                bounds.COLOR_JITTER_STRENGTH,
            ),
            Flag("use_blur", True, "Whether to use Gaussian blur during pretraining."),
            Flag(
                "augment_on",
                "auto",
                "Where views are made: in the input pipeline, or in the training step, to which "
                "the host then ships bytes. auto: in the step on accelerators and with "
                "micro_batch_size, else in the pipeline.",
                OneOf(("auto", "host", "device")),
                identity=False,
            ),
        ),
    ),
    Group(
        "architecture",
        "Encoder and heads",
        (
            _architecture("resnet_depth", 50, "Depth of ResNet."),
            _architecture(
                "width_multiplier", 1.0, "Multiplier of the network's width; may be a fraction."
            ),
            _architecture("sk_ratio", 0.0, "Above 0 enables selective kernels (SimCLRv2: 0.0625)."),
            _architecture("se_ratio", 0.0, "Above 0 enables squeeze-and-excitation."),
            _architecture("proj_head_mode", "nonlinear", "How the head projection is done."),
            _architecture("proj_out_dim", 128, "Number of head projection dimension."),
            _architecture("num_proj_layers", 3, "Number of non-linear head layers."),
        ),
    ),
    Group(
        "batch_norm",
        "Batch normalization",
        (
            Flag("batch_norm_decay", 0.9, "Batch norm decay parameter.", _FRACTION),
            Flag(
                "global_bn",
                True,
                "Whether to aggregate batch norm statistics across replicas. Without it a replica "
                "can tell positives by their shared local statistics.",
            ),
        ),
    ),
    Group(
        "loss",
        "Contrastive loss",
        (
            Flag(
                "loss",
                "nt_xent",
                "nt_xent: SimCLR's. dcl: without the positive in the denominator (decoupled, arXiv "
                "2110.06848). supcon: all images of a class are positives (arXiv 2004.11362); an "
                "image without a label has its other view.",
                bounds.CONTRASTIVE_LOSSES,
            ),
            Flag(
                "temperature",
                0.1,
                "Temperature parameter for contrastive loss.",
                bounds.TEMPERATURE,
            ),
            Flag("hidden_norm", True, "Whether to normalize projections to unit length."),
            Flag(
                "lineareval_while_pretraining",
                True,
                "Whether to train a linear classifier on the features while pre-training, behind a "
                "stop-gradient.",
            ),
        ),
    ),
    Group(
        "optimization",
        "Length, batch and optimizer",
        (
            Flag(
                "train_batch_size",
                512,
                "Images per step, over all replicas; at most as many as there are. If not given, "
                "fine-tuning a --checkpoint takes an eighth of the images, 16 to 64.",
                _BATCH,
            ),
            Flag(
                "micro_batch_size",
                0,
                "Pre-training: pairs, over all replicas, that are encoded at a time, a divisor of "
                "train_batch_size; 0: all. The loss is that of the whole batch and its gradient "
                "exact, at the price of encoding twice; but batch normalization sees these pairs "
                "alone, which makes another run. auto: as many as fit, all if they do.",
                RangeOr(Range(0, 1_000_000), ("auto",)),
            ),
            Flag(
                "train_epochs",
                100,
                "Number of epochs to train for. If not given, fine-tuning a --checkpoint takes 60, "
                "30 from 50,000 images on, linear evaluation 90, and 300 steps at least.",
                _COUNT,
            ),
            Flag("train_steps", 0, "Number of steps to train for. Overrides train_epochs.", _COUNT),
            Flag(
                "optimizer",
                "lars",
                "Optimizer to use. lamb needs tensorflow-addons (Python 3.11). If this, the "
                "learning rate and its scaling are not given, fine-tuning a --checkpoint takes "
                "momentum.",
                bounds.OPTIMIZERS,
            ),
            Flag(
                "learning_rate",
                0.3,
                "Initial learning rate per batch size of 256. With momentum taken for "
                "fine-tuning, 0.0125 with sqrt scaling, or 0.025 in linear evaluation.",
                Range(0.0, above_low=True),
            ),
            Flag(
                "learning_rate_scaling",
                "linear",
                "Scaled learning rate: linear, learning_rate * batch / 256; sqrt, learning_rate * "
                "sqrt(batch).",
                OneOf(("linear", "sqrt")),
            ),
            Flag(
                "warmup_epochs",
                10.0,
                "Number of epochs of linear warm-up. If not given, 0 to fine-tune a --checkpoint.",
                _AT_LEAST_0,
            ),
            Flag(
                "weight_decay",
                1e-6,
                "Amount of weight decay to use. If not given, 0 to fine-tune a --checkpoint.",
                _AT_LEAST_0,
            ),
            Flag("momentum", 0.9, "Momentum parameter.", _FRACTION),
            Flag(
                "on_nonfinite",
                "stop",
                "What to do about a step after which the loss or a weight is no number. stop: end "
                "the run, with status 70; skip: leave the step out, at most ten in a row.",
                OneOf(("stop", "skip")),
                identity=False,
            ),
        ),
    ),
    Group(
        "finetuning",
        "Fine-tuning",
        (
            Flag(
                "fine_tune_after_block",
                -1,
                "The block after which layers are trained. -1: everything; 0: all after the stem; "
                "4: the classifier only (linear evaluation).",
                architecture.FREEZE_AFTER,
            ),
            Flag(
                "ft_proj_selector",
                0,
                "Which layer of the projection head the classifier reads. 0: none, the encoder's "
                "features; -1: the final layer.",
                Range(-1, architecture.PROJECTION_LAYERS.high),
            ),
            Flag("zero_init_logits_layer", False, "Whether the classifier starts at zero."),
        ),
    ),
    Group(
        "distillation",
        "Distillation",
        (
            Flag(
                "teacher",
                None,
                "Whose predictions a student learns: a run's model_dir, a checkpoint path or a "
                "SavedModel, with a classifier. It stays as it is.",
                path=PathIn(),
            ),
            Flag(
                "distill_temperature",
                1.0,
                "By which the logits of teacher and student are divided (SimCLRv2: 0.1 for a "
                "student of the teacher's architecture, 1 for a smaller one).",
                bounds.TEMPERATURE,
            ),
            Flag(
                "distill_weight",
                1.0,
                "The teacher's share of the loss; cross-entropy with labels has the rest. Below 1, "
                "--labels_per_class says how many labels are used, of all images. 1: no label is "
                "read.",
                bounds.DISTILLATION_WEIGHT,
            ),
        ),
    ),
    Group(
        "evaluation",
        "Evaluation and probe",
        (
            Flag(
                "eval_batch_size",
                256,
                "Batch size for eval, over all replicas.",
                _BATCH,
                identity=False,
            ),
            Flag(
                "eval_steps",
                0,
                "Number of steps to eval for. 0: the whole split.",
                _COUNT,
                identity=False,
            ),
            Flag(
                "eval_name",
                None,
                "Name for eval: its events go to eval_NAME/ in model_dir.",
                identity=False,
            ),
            Flag(
                "label_fractions",
                (0.01, 0.1, 1.0),
                "Fractions of --train_split's labels that --mode=probe fits on, as many of each "
                "class; in --mode=evaluate, logistic_regression, and, below 1, semi_supervised.",
                Range(0.0, 1.0, above_low=True),
                identity=False,
            ),
            Flag(
                "protocol",
                ("knn", "logistic_regression", "clustering"),
                "What --mode=evaluate measures, one or several. Of frozen features: knn; "
                "logistic_regression, its strength chosen on held-out labels; linear, a layer "
                "trained on crops and flips; clustering, k-means against classes; transfer, "
                "logistic regression on --transfer_datasets. semi_supervised: fine-tuning on "
                "--label_fractions, against training from scratch.",
                OneOf(PROTOCOLS),
                identity=False,
            ),
            Flag(
                "seeds",
                3,
                "How many times --mode=evaluate repeats what is trained from random beginnings "
                "(linear, clustering, semi_supervised), with --seed and those after it.",
                Range(1, 1000),
                identity=False,
            ),
            Flag(
                "knn_k",
                (200, 20),
                "Neighbors that vote, in --mode=evaluate; all images if there are fewer.",
                Range(1, 1_000_000_000),
                identity=False,
            ),
            Flag(
                "knn_temperature",
                (0.1, 0.07),
                "Temperatures of the votes, one for each --knn_k or one for all.",
                bounds.TEMPERATURE,
                identity=False,
            ),
            Flag(
                "knn_every_epochs",
                0,
                "While pre-training, epochs between measurements of the features by kNN, on at "
                "most 5,000 images of --train_split and 1,000 of --eval_split. 0: none.",
                _COUNT,
                identity=False,
            ),
            Flag(
                "linear_augmentation",
                True,
                "Whether --protocol=linear crops and flips anew in each epoch, as the paper does, "
                "or encodes each image once, which is some 90 times as fast.",
                identity=False,
            ),
            Flag(
                "transfer_datasets",
                (),
                "Data sets of --protocol=transfer, each as --dataset takes it. A folder's labels "
                "are its folders, or the CSV file that --folder_labels names.",
                identity=False,
                path=PathIn(prefix="folder:"),
            ),
            Flag(
                "step",
                1,
                "The step of training whose images --mode=show_views draws.",
                Range(1, 1_000_000_000),
                identity=False,
            ),
        ),
    ),
    Group(
        "embedding",
        "Features as files",
        (
            Flag(
                "layer",
                "h",
                "What --mode=embed writes and --mode=neighbors compares. h, or 0: the encoder's "
                "features; a number: that layer of the projection head; z: its last; logits: the "
                "classifier's.",
                RangeOr(Range(0, architecture.PROJECTION_LAYERS.high), ("h", "z", "logits")),
                identity=False,
            ),
            Flag(
                "output",
                None,
                "Where --mode=embed writes: FILE.parquet, .npy or .csv; features.parquet in "
                "--model_dir if not given. --mode=neighbors: a folder; neighbors/ in --model_dir. "
                "--mode=report: FILE.html; report.html in --model_dir.",
                identity=False,
                path=PathIn(),
            ),
            Flag(
                "query",
                None,
                "A picture, or a folder of pictures, to which --mode=neighbors finds the nearest.",
                identity=False,
                path=PathIn(),
            ),
        ),
    ),
    Group(
        "files",
        "Checkpoints and logs",
        (
            Flag(
                "checkpoint_epochs",
                1,
                "Number of epochs between checkpoints.",
                Range(1, 1_000_000_000),
                identity=False,
            ),
            Flag(
                "checkpoint_steps",
                0,
                "Number of steps between checkpoints, if above 0.",
                _COUNT,
                identity=False,
            ),
            Flag(
                "keep_checkpoint_max",
                5,
                "Maximum number of checkpoints to keep. 0: all.",
                _COUNT,
                identity=False,
            ),
            Flag(
                "keep_hub_module_max",
                1,
                "Maximum number of SavedModels to keep. 0: all. One that was the newest until a "
                "minute ago stays until the next export: a server may be loading it.",
                _COUNT,
                identity=False,
            ),
            Flag(
                "train_summary_steps",
                100,
                "Steps between summaries: TensorBoard's, and lines of metrics.jsonl. 0: at "
                "checkpoints only. Not given: 100, or fewer, so that a run has fifty.",
                _COUNT,
                identity=False,
            ),
            Flag(
                "profile_steps",
                None,
                "FIRST:LAST, such as 20:22: writes a profile of these steps for TensorBoard to "
                "train/ in model_dir.",
                Steps(),
                identity=False,
            ),
        ),
    ),
    Group(
        "export",
        "Export",
        (
            Flag(
                "format",
                "saved_model",
                "What --mode=export writes. saved_model: for TensorFlow Serving; tflite: "
                "TensorFlow Lite, built-in operations only; onnx: needs pip install '.[onnx]'.",
                OneOf(("saved_model", "tflite", "onnx")),
                identity=False,
            ),
            Flag(
                "export_precision",
                "float32",
                "How SavedModels store weights; they compute in float32. bfloat16 halves the file.",
                OneOf(("float32", "bfloat16")),
                identity=False,
            ),
        ),
    ),
    Group(
        "hardware",
        "Hardware",
        (
            Flag(
                "precision",
                "float32",
                "Compute type; weights and the loss stay float32. bfloat16 pays on TPUs, recent "
                "GPUs and CPUs with AMX; float16, with a scaled loss, on older GPUs. auto: the "
                "fastest of those that the devices support; a new run measures that, in at most "
                "about a twentieth of its time, and keeps it. Runs of about ten minutes or less, "
                "and several machines, then take float32, TPUs bfloat16.",
                OneOf(("auto", "float32", "bfloat16", "float16")),
            ),
            Flag(
                "strategy",
                "auto",
                "How devices share a batch. one_device; mirrored: all GPUs of this machine, or its "
                "virtual devices; multi_worker: the machines that the environment's TF_CONFIG "
                "lists. auto: tpu with --use_tpu, multi_worker with TF_CONFIG, mirrored where "
                "there are several devices, else one_device.",
                OneOf(("auto", "one_device", "mirrored", "multi_worker", "tpu")),
                identity=False,
            ),
            Flag(
                "num_virtual_devices",
                1,
                "Splits the CPU into so many devices, to try out on one machine what several do.",
                Range(1, 128),
                identity=False,
            ),
            Flag(
                "steps_per_loop",
                "auto",
                "Steps that a device takes before the host looks at it again; summaries, "
                "checkpoints and signals wait for that. auto (or 0): as many as take a second, "
                "and none of these waits longer; the steps between summaries on TPUs, 10 at most "
                "where several machines share the run, 1 on virtual devices.",
                RangeOr(_COUNT, ("auto",)),
                identity=False,
            ),
            Flag(
                "jit_compile",
                False,
                "Whether XLA compiles the training step of one device, or of several GPUs. TPUs "
                "always do; on CPUs it is slower.",
                identity=False,
            ),
            Flag("use_tpu", False, "Whether to run on TPU: --strategy=tpu.", identity=False),
            Flag(
                "tpu_name",
                None,
                "The Cloud TPU: its name, or a grpc://ip.address:8470 url.",
                identity=False,
            ),
            Flag(
                "tpu_zone",
                None,
                "GCE zone of the Cloud TPU, if it cannot be detected.",
                identity=False,
            ),
            Flag(
                "gcp_project",
                None,
                "Project of the Cloud TPU, if it cannot be detected.",
                identity=False,
            ),
            Flag(
                "master",
                None,
                "Address of the TensorFlow master, if there is no tpu_name.",
                identity=False,
            ),
        ),
    ),
)
