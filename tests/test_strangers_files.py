"""Nothing in the package runs what a file holds: no pickle, no HDF5, no Keras file of strangers."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "simclr_tf"
# What makes objects or runs code out of files or texts.
MODULES = {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "h5py", "yaml", "torch"}
CALLS = {"load_model", "load_weights", "model_from_json", "model_from_yaml", "model_from_config"}
CALLS |= {"func_load", "eval", "exec", "np.load", "np.loadtxt", "tf.saved_model.load"}
CALLS |= {"tf.compat.v1.saved_model.load", "tf.load_op_library", "hub.load"}
# They load what they have written themselves, a line above or in the same command.
OWN = {"workflows/export.py": {"tf.saved_model.load"}}
# Arrays alone, with allow_pickle=False.
OWN |= {"embedding/parts.py": {"np.load", "allow_pickle"}}


def uses(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            yield node.module or ""
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in CALLS or called.split(".")[-1] in CALLS - {"eval", "exec"}:
                yield called
            yield from (k.arg for k in node.keywords if k.arg in ("allow_pickle", "safe_mode"))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import pickle", {"pickle"}),
        ("from torch.serialization import load", {"torch.serialization"}),
        ("np.load(a, allow_pickle=True)", {"np.load", "allow_pickle"}),
        ("tf.keras.models.load_model(a)", {"tf.keras.models.load_model"}),
        ("tf.saved_model.load(a)", {"tf.saved_model.load"}),
        ("eval(a)", {"eval"}),
        ("import pickletools\nmodel.eval(a)\nfiles.load(b)", set()),
    ],
)
def test_what_is_looked_for_is_found(source, found) -> None:
    assert set(uses(source)) == found


def test_no_file_is_run() -> None:
    found = {
        str(path.relative_to(PACKAGE)): names
        for path in PACKAGE.rglob("*.py")
        if (names := set(uses(path.read_text())))
    }
    assert found == OWN
