"""Loads damaged files, one after another, and reports how it went. A process of its own.

    python tests/checkpoints/mutate.py FOLDER COUNT

FOLDER holds a subfolder for each kind of checkpoint. Of a copy, one file has some bytes flipped,
overwritten, removed or put in. Prints a line of JSON: how many loaded, how many were refused, which
of those were intact or got no short line, and how many MiB of memory the damaged ones took on top.
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import sys
from pathlib import Path

from simclr_tf import compat

compat.import_tensorflow()

from simclr_tf.checkpoints import find_weights, restore_parts  # noqa: E402
from simclr_tf.convert_pytorch.pytorch_file import read  # noqa: E402
from simclr_tf.convert_pytorch.pytorch_names import as_stored_here, map_names  # noqa: E402
from simclr_tf.errors import UserError  # noqa: E402
from simclr_tf.training.build import build_plain  # noqa: E402
from simclr_tf.training.network import Network  # noqa: E402


def damage(path: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes())
    kind = draw.choice(["flip", "flip", "overwrite", "digits", "cut", "drop", "insert", "tail"])
    at = draw.randrange(len(content))
    noise = draw.randbytes(draw.randint(1, 16))
    if kind == "flip":
        for _ in range(draw.randint(1, 8)):
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    elif kind == "overwrite":
        content[at : at + len(noise)] = noise
    elif kind == "digits":  # numbers in JSON become others
        places = [i for i, byte in enumerate(content) if chr(byte).isdigit()] or [at]
        for place in draw.sample(places, min(3, len(places))):
            content[place : place + 1] = draw.choice([b"9", b"99999", b"-1", b"0", b"1e9", b"null"])
    elif kind == "cut":
        del content[at:]
    elif kind == "drop":
        del content[at : at + len(noise)]
    elif kind == "insert":
        content[at:at] = noise
    else:  # the ends hold the directories of these formats
        content[-draw.randint(1, min(48, len(content)))] = draw.randrange(256)
    path.write_bytes(content)


def load(folder: Path, networks: dict[str, Network], kind: str) -> None:
    """Does what a command does; the network is built once for each kind, from the intact files."""
    if kind in ("pickle", "safetensors"):
        tensors = read(str(next(folder.iterdir()))).tensors
        for name, path in map_names(tensors, kind)[0].items():
            as_stored_here(path, tensors[name])
        return
    weights = find_weights(str(folder))
    if kind not in networks:
        description = weights.description
        networks[kind] = build_plain(description.architecture, description.num_classes)
    restore_parts(networks[kind].parts, weights)


def main(folder: Path, count: int) -> None:
    draw = random.Random(0)
    networks: dict[str, Network] = {}
    kinds = sorted(path for path in folder.iterdir() if path.is_dir())
    aside = folder / "mutant"
    tally = {"loaded": 0, "refused": 0}
    odd: list[str] = []
    before = 0
    for index in range(-len(kinds), count):
        shutil.rmtree(aside, ignore_errors=True)
        kind = kinds[index % len(kinds)]
        shutil.copytree(kind, aside)
        if index >= 0:
            before = before or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            files = sorted(path for path in aside.rglob("*") if path.is_file())
            damage(draw.choice(files), draw)
        try:
            load(aside, networks, kind.name)
            tally["loaded"] += index >= 0
        except UserError as error:
            tally["refused"] += 1
            if index < 0 or "\n" in str(error) or len(str(error)) > 1000:
                odd.append(f"{index}: {error}")
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({**tally, "odd": odd, "mebibytes": (after - before) // 1024}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
