"""Several machines that train together: who they are, and what becomes of them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator

import tensorflow as tf

from simclr_tf import stopping
from simclr_tf.distribution.meeting import meet
from simclr_tf.errors import LostWorker, UserError, first_line

EXAMPLE = (
    '{"cluster": {"worker": ["host1:port", "host2:port"]}, "task": {"type": "worker", "index": 0}}'
)
_ABORTED = "Collective ops is aborted by: "


@dataclasses.dataclass(frozen=True)
class Workers:
    """The machines that share a batch, and which of them this process is.

    Attributes:
      addresses: `host:port` of each; the first is the chief, which alone writes.
      index: this process's place among them.
    """

    addresses: tuple[str, ...] = ("",)
    index: int = 0

    @classmethod
    def from_environment(cls) -> Workers | None:
        """Reads TF_CONFIG, as tf.distribute does; None where it is not set.

        Raises:
          UserError: it does not say which machines there are and which of them this is.
        """
        text = os.environ.get("TF_CONFIG", "").strip()
        if not text:
            return None
        try:
            config = json.loads(text)
            cluster, task = config["cluster"], config["task"]
            addresses = [*cluster.get("chief", []), *cluster.get("worker", [])]
            index = {"chief": 0, "worker": len(cluster.get("chief", []))}[task["type"]]
            index += int(task["index"])
            sound = 0 <= index < len(addresses) and all(":" in address for address in addresses)
        except (ValueError, LookupError, TypeError, AttributeError):
            sound = False
        if not sound or set(cluster) - {"chief", "worker"}:
            raise UserError(
                f"TF_CONFIG={text} does not list a chief, workers or both, and which of them this "
                f"is; an example: {EXAMPLE}"
            )
        return cls(tuple(addresses), index)

    @property
    def count(self) -> int:
        return len(self.addresses)

    @property
    def is_chief(self) -> bool:
        return self.index == 0

    @property
    def name(self) -> str:
        """This machine, in words."""
        return f"worker {self.index} of {self.count}"

    def own_folder(self, model_dir: str) -> str:
        """Returns where this machine may write: `model_dir` for the chief, else a folder in it."""
        return model_dir if self.is_chief else f"{model_dir}/worker_{self.index}"


def workers_of(strategy: tf.distribute.Strategy) -> Workers:
    """Returns the machines that `strategy` spans: this one alone, unless `join_workers` made it."""
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return Workers.from_environment() or Workers()
    return Workers()


def join_workers(workers: Workers) -> tf.distribute.Strategy:
    """Meets the other machines, and returns the strategy over all of them.

    Raises:
      UserError: this machine cannot listen at its address.
    """
    if workers.count > 1:
        address = workers.addresses[workers.index]
        print(
            f"{workers.name} at {address}: waits for the others",
            flush=True,
        )
    try:
        if workers.count > 1:
            meet(workers.addresses, workers.index)
        with stopping.kept():
            return tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, OSError) as error:
        raise UserError(
            f"TF_CONFIG: worker {workers.index} cannot meet the others at "
            f"{workers.addresses[workers.index]} ({_reason(error)}); give an address of this "
            "machine and a free port, the same list on all machines"
        ) from error


def sum_over_workers(value: int, strategy: tf.distribute.Strategy, workers: Workers) -> int:
    """Sums a number over the machines; all of them must call it.

    Args:
      value: what this machine has.
      strategy: from `choose_strategy`.
      workers: those of the strategy.
    """
    if workers.count == 1:
        return value
    replicas = strategy.num_replicas_in_sync // workers.count

    def of_replica(context: tf.distribute.experimental.ValueContext) -> tf.Tensor:
        first = context.replica_id_in_sync_group % replicas == 0
        return tf.constant(value if first else 0, tf.int64)

    values = strategy.experimental_distribute_values_from_function(of_replica)
    return int(strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None))


@contextlib.contextmanager
def noticing_lost_workers(workers: Workers) -> Iterator[None]:
    """Says what happened where another machine has gone.

    Raises:
      LostWorker: in the place of what TensorFlow raises then.
    """
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError) as error:
        if workers.count == 1:
            raise
        raise LostWorker(
            f"{workers.name} has lost another one "
            f"({_reason(error)}); start all workers again with the same command: they go on "
            "from the last checkpoint"
        ) from error


def _reason(error: tf.errors.OpError | OSError) -> str:
    """Returns the sentence of TensorFlow's message that says what happened."""
    if isinstance(error, OSError):
        return first_line(error)
    lines = error.message[error.message.find(_ABORTED) + 1 :].removeprefix(_ABORTED[1:])
    return (lines.strip().splitlines() or [type(error).__name__])[0].partition(". ")[0][:200]
