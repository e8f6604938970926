"""Trains three steps on as many logical CPUs as asked and prints losses and a digest of weights.

Run by test_replicas.py in processes of its own: a process can have one tf.distribute strategy.
"""

from __future__ import annotations

import sys

import numpy as np

from simclr_tf import stack

stack.import_tensorflow()


def main() -> None:
    import tensorflow as tf

    from simclr_tf.run import main as run
    from tests.conftest import TINY

    devices, model_dir, *flags = sys.argv[1:]
    cpu = tf.config.list_physical_devices("CPU")[0]
    logical = [tf.config.LogicalDeviceConfiguration()] * int(devices)
    tf.config.set_logical_device_configuration(cpu, logical)
    status = run(["simclr_tf", *TINY, *flags, f"--model_dir={model_dir}"])
    if status == 0:
        reader = tf.train.load_checkpoint(model_dir)
        shapes = reader.get_variable_to_shape_map()
        keys = [k for k in shapes if k.endswith("VARIABLE_VALUE") and "save_counter" not in k]
        np.savez(
            f"{model_dir}/weights.npz", **{k.replace("/", "|"): reader.get_tensor(k) for k in keys}
        )
    sys.exit(status)


if __name__ == "__main__":
    main()
