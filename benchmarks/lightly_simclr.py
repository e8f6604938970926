"""What accuracy.py gives lightly to do: SimCLR from lightly's parts, for so many minutes.

Run in a Python that has lightly, on images that accuracy.py has written:

    python benchmarks/lightly_simclr.py IMAGES.npz FEATURES.npz --minutes=20 --size=32 ...

Settings that are not given are those of lightly's own CIFAR-10 benchmark. The learning rate follows
a cosine over the time that is left, so that training ends when it is over. Writes features h of all
images, in inference mode, at each of --feature_sizes; prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import time

import numpy as np

try:
    import torchvision
except RuntimeError:  # built for CUDA beside a torch that is not: its operators are not needed
    import torch.library

    _register = torch.library.register_fake

    def _tolerant(name, *args, **kwargs):
        def wrap(function):
            try:
                return _register(name, *args, **kwargs)(function)
            except RuntimeError:
                return function

        return wrap

    torch.library.register_fake = _tolerant
    import torchvision
import lightly
import torch
from lightly.loss import NTXentLoss
from lightly.models.modules import SimCLRProjectionHead
from lightly.transforms import SimCLRTransform
from lightly.transforms.utils import IMAGENET_NORMALIZE
from PIL import Image
from torchvision.models.resnet import BasicBlock, ResNet


def main() -> None:
    """Trains, encodes, and writes."""
    args = _parse()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    images = np.load(args.images)
    encoder, dim = build_encoder(args.width)
    head = SimCLRProjectionHead(dim, dim, args.output)
    model = torch.nn.Sequential(encoder, head).to(memory_format=torch.channels_last)
    epochs, seconds = train(model, images["train"], args)
    found = {
        f"{split}_{size}": encode(encoder, images[split], size)
        for split in ("train", "test")
        for size in args.feature_sizes
    }
    np.savez(args.features, **found)
    versions = {"lightly": lightly.__version__, "torch": torch.__version__}
    print(json.dumps({"epochs": round(epochs, 2), "seconds": round(seconds, 1), **versions}))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add = parser.add_argument
    add("images")
    add("features")
    add("--minutes", type=float, required=True)
    add("--seed", type=int, default=0)
    add("--threads", type=int, default=2)
    add("--width", type=float, default=0.25)
    add("--size", type=int, default=32)
    add("--feature_sizes", type=int, nargs="+", default=[32])
    add("--batch", type=int, default=128)
    add("--rate", type=float, default=0.06, help="of a batch of 128")
    add("--decay", type=float, default=5e-4)
    add("--temperature", type=float, default=0.5)
    add("--output", type=int, default=128)
    add("--smallest_crop", type=float, default=0.08)
    add("--warm_up", type=float, default=0.0, help="share of the time")
    return parser.parse_args()


def build_encoder(width: float) -> tuple[torch.nn.Module, int]:
    """Builds torchvision's ResNet-18, with the stem for small images and fewer channels."""
    net = ResNet(BasicBlock, [2, 2, 2, 2])
    channels = [round(width * full) for full in (64, 128, 256, 512)]
    net.inplanes = channels[0]
    net.conv1 = torch.nn.Conv2d(3, channels[0], 3, 1, 1, bias=False)
    net.bn1, net.maxpool = torch.nn.BatchNorm2d(channels[0]), torch.nn.Identity()
    for index, each in enumerate(channels):
        layer = net._make_layer(BasicBlock, each, 2, stride=1 if index == 0 else 2)
        setattr(net, f"layer{index + 1}", layer)
    net.fc = torch.nn.Identity()
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return net, channels[-1]


class Pictures(torch.utils.data.Dataset):
    """Two views of each image."""

    def __init__(self, images: np.ndarray, size: int, smallest_crop: float) -> None:
        self.images = images
        self.transform = SimCLRTransform(
            size, cj_strength=0.5, gaussian_blur=0.0, min_scale=smallest_crop
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> list[torch.Tensor]:
        return self.transform(Image.fromarray(self.images[index]))


def train(
    model: torch.nn.Module, images: np.ndarray, args: argparse.Namespace
) -> tuple[float, float]:
    """Trains until the time is over; returns epochs and seconds."""
    loader = torch.utils.data.DataLoader(
        Pictures(images, args.size, args.smallest_crop),
        batch_size=args.batch,
        shuffle=True,
        drop_last=True,
        num_workers=2,
        persistent_workers=True,
    )
    peak = args.rate * args.batch / 128
    optimizer = torch.optim.SGD(model.parameters(), peak, momentum=0.9, weight_decay=args.decay)
    criterion = NTXentLoss(args.temperature)
    began, limit, steps = time.perf_counter(), args.minutes * 60, 0
    while True:
        for views in loader:
            done = (time.perf_counter() - began) / limit
            if done >= 1:
                return steps / len(loader), time.perf_counter() - began
            rate = peak * (1 + math.cos(math.pi * done)) / 2
            if done < args.warm_up:
                rate = peak * done / args.warm_up
            optimizer.param_groups[0]["lr"] = rate
            batch = torch.cat(views).contiguous(memory_format=torch.channels_last)
            loss = criterion(*model(batch).chunk(2))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += 1


@torch.no_grad()
def encode(encoder: torch.nn.Module, images: np.ndarray, size: int) -> np.ndarray:
    """Features of whole images, resized where they are of another size."""
    encoder.eval()
    mean, deviation = (torch.tensor(IMAGENET_NORMALIZE[name]) for name in ("mean", "std"))
    found = []
    for start in range(0, len(images), 500):
        batch = torch.from_numpy(images[start : start + 500]).permute(0, 3, 1, 2) / 255
        if size != images.shape[1]:
            batch = torchvision.transforms.functional.resize(
                batch, [size, size], torchvision.transforms.InterpolationMode.BICUBIC
            ).clamp(0, 1)
        batch = (batch - mean[:, None, None]) / deviation[:, None, None]
        found.append(encoder(batch.contiguous(memory_format=torch.channels_last)).numpy())
    return np.concatenate(found)


if __name__ == "__main__":
    main()
