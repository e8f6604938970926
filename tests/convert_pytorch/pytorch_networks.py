"""Makes PyTorch files of small networks, and what the networks compute. Runs in PyTorch.

    python tests/convert_pytorch/pytorch_networks.py OUT [WIDTH]

Needs torch, torchvision, lightly and safetensors, which simclr_tf does not. `tests/golden/pytorch/`
was made so, by PyTorch 2.5.1, torchvision 0.20.1 and lightly 1.6.0.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from lightly.models import ResNetGenerator
from lightly.models.modules import SimCLRProjectionHead
from safetensors.torch import save_file
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIZES = {"lightly_r18.ckpt": 48, "torchvision_r50.safetensors": 40, "lightly_cifar.pt": 32}


class Narrow(ResNet):
    """torchvision's ResNet with `width` instead of 64 channels."""

    def __init__(self, *args, width: int, **kwargs):
        self.__dict__["width"] = width  # before nn.Module is set up
        super().__init__(*args, **kwargs)

    @property
    def inplanes(self) -> int:
        return self.__dict__["_inplanes"]

    @inplanes.setter
    def inplanes(self, value: int) -> None:
        first = "_inplanes" not in self.__dict__
        self.__dict__["_inplanes"] = self.width if first else value

    def _make_layer(self, block, planes, *args, **kwargs):
        return super()._make_layer(block, planes * self.width // 64, *args, **kwargs)


def randomize(network: nn.Module) -> nn.Module:
    """Gives every parameter and statistic a value that matters; evaluation mode."""
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name.endswith("running_var") or (value.ndim == 1 and name.endswith("weight")):
                value.uniform_(0.5, 1.5)
            elif value.ndim == 1:
                value.normal_(0, 0.2)
            elif value.ndim > 1:
                value.normal_(0, value[0].numel() ** -0.5)
    return network.eval()


def main(out: Path, width: int) -> None:
    torch.manual_seed(0)
    out.mkdir(parents=True, exist_ok=True)
    expected = {}

    resnet = Narrow(BasicBlock, [2, 2, 2, 2], width=width)
    dim = 8 * width
    module = nn.Module()
    module.backbone = nn.Sequential(*list(resnet.children())[:-1])
    module.projection_head = SimCLRProjectionHead(dim, dim, 6, num_layers=3)
    randomize(module)
    checkpoint = {
        "epoch": 3,
        "state_dict": module.state_dict(),
        "optimizer_states": [torch.optim.SGD(module.parameters(), 0.1).state_dict()],
        "hyper_parameters": {"lr": 0.1, "sizes": (32, 64), "nothing": None, "more": {"a": [1]}},
        "pytorch-lightning_version": "2.4.0",
    }
    torch.save(checkpoint, out / "lightly_r18.ckpt")
    features = module.backbone(images("lightly_r18.ckpt")).flatten(1)
    expected["lightly_r18.ckpt"] = {
        "final_avg_pool": features,
        "proj_head_output": module.projection_head(features),
    }

    narrow = max(1, width // 2)
    resnet = Narrow(Bottleneck, [3, 4, 6, 3], width=narrow)
    resnet.fc = nn.Linear(32 * narrow, 5)
    for layer in resnet.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = 1e-3  # PyTorch's is 1e-5
    randomize(resnet)
    wrapped = {f"module.{name}": value.contiguous() for name, value in resnet.state_dict().items()}
    save_file(wrapped, out / "torchvision_r50.safetensors")
    body = nn.Sequential(*list(resnet.children())[:-1])
    features = body(images("torchvision_r50.safetensors")).flatten(1)
    expected["torchvision_r50.safetensors"] = {
        "final_avg_pool": features,
        "logits_sup": resnet.fc(features),
    }

    resnet = ResNetGenerator("resnet-18", width=width / 64)
    backbone = nn.Sequential(*list(resnet.children())[:-1], nn.AdaptiveAvgPool2d(1))
    randomize(backbone)
    torch.save(backbone.state_dict(), out / "lightly_cifar.pt")
    features = backbone(images("lightly_cifar.pt")).flatten(1)
    expected["lightly_cifar.pt"] = {"final_avg_pool": features}

    rounded = {
        name: {key: np.round(value.tolist(), 6).tolist() for key, value in outputs.items()}
        for name, outputs in expected.items()
    }
    (out / "expected.json").write_text(json.dumps(rounded))


def images(name: str) -> torch.Tensor:
    """Returns the images that the tests use (`images_of`), normalized as lightly does."""
    size = SIZES[name]
    raw = np.random.default_rng(0).random((2, size, size, 3), np.float32)
    return torch.from_numpy((raw - np.float32(MEAN)) / np.float32(STD)).permute(0, 3, 1, 2)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 8)
