"""Trains on one device, on the batches that several machines would have had between them.

Started by test_workers.py with COUNT and the command's flags. Machines read shares of the data of
their own, so that a batch of theirs differs from one that a single machine would read.
"""

from __future__ import annotations

import sys

from simclr_tf import compat

compat.import_tensorflow()


def main() -> int:
    import tensorflow as tf

    from simclr_tf import data
    from simclr_tf.run import main as run

    count, *flags = sys.argv[1:]
    input_fn_of_one = data.train_input_fn

    def input_fn_of_all(*args, **kwargs):
        input_fn = input_fn_of_one(*args, **kwargs)

        def merged(_):
            shares = [
                input_fn(tf.distribute.InputContext(int(count), index, int(count)))
                for index in range(int(count))
            ]
            return tf.data.Dataset.zip(tuple(shares)).map(
                lambda *batches: tf.nest.map_structure(lambda *x: tf.concat(x, 0), *batches)
            )

        return merged

    data.train_input_fn = input_fn_of_all
    return run(["simclr_tf", *flags])
