"""Examples of the files that TensorFlow Serving is configured with, beside the SavedModels."""

from __future__ import annotations

import tensorflow as tf

from simclr_tf import files

MODEL_NAME = "simclr"

MODELS_CONFIG = f"""\
# Which models to serve: --model_config_file. base_path is where the server finds the folder that
# holds the numbered versions; here, the run's folder mounted at /models/{MODEL_NAME}.
model_config_list {{
  config {{
    name: "{MODEL_NAME}"
    base_path: "/models/{MODEL_NAME}/saved_model"
    model_platform: "tensorflow"
  }}
}}
"""

BATCHING_PARAMETERS = """\
# Requests served together: --enable_batching --batching_parameters_file. For accelerators, where a
# batch costs little more than one image; on CPUs it buys little. A picture that cannot be decoded
# fails the requests it was batched with, and images for embed, project and classify must all have
# one size.
max_batch_size { value: 32 }
batch_timeout_micros { value: 5000 }
max_enqueued_batches { value: 100 }
num_batch_threads { value: 4 }
"""


def write_examples(model_dir: str) -> None:
    """Writes `serving/models.config` and `batching_parameters.txt` where there are none yet."""
    folder = files.join(model_dir, "serving")
    tf.io.gfile.makedirs(folder)
    for name, text in (
        ("models.config", MODELS_CONFIG),
        ("batching_parameters.txt", BATCHING_PARAMETERS),
    ):
        path = files.join(folder, name)
        if not tf.io.gfile.exists(path):
            files.write_text(path, text)
