"""Makes PyTorch files of small networks, and what the networks compute. Runs in PyTorch.

    python tests/convert_pytorch/pytorch_networks.py OUT [WIDTH]

Needs torch, torchvision, lightly, omegaconf and safetensors, which simclr_tf does not.
`tests/golden/pytorch/` was made so with a width of 2: the first three files by PyTorch 2.5.1,
torchvision 0.20.1 and lightly 1.6.0, the others by PyTorch 2.14, torchvision 0.29 and OmegaConf
2.3. Of those, names and layers are what the code bases' own sources say.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import omegaconf
import torch
from lightly.models import ResNetGenerator
from lightly.models.modules import SimCLRProjectionHead
from safetensors.torch import save_file
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIZES = {
    **{"lightly_r18.ckpt": 48, "torchvision_r50.safetensors": 40, "lightly_cifar.pt": 32},
    **{"solo_learn.ckpt": 32, "moco_v1.pth.tar": 40, "moco_v2.pth.tar": 40},
    **{"sthalles.pth.tar": 40, "lightly_train.ckpt": 40, "timm.pth": 40},
}
CIFAR = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))  # solo-learn's
NORMALIZED = {"solo_learn.ckpt": CIFAR, "lightly_train.ckpt": ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))}


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
            if not value.is_floating_point():
                continue
            if name.endswith("running_var") or (value.ndim == 1 and name.endswith("weight")):
                value.uniform_(0.5, 1.5)
            elif value.ndim == 1:
                value.normal_(0, 0.2)
            elif value.ndim > 1:
                value.normal_(0, value[0].numel() ** -0.5)
    return network.eval()


@torch.no_grad()
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

    expected |= others(out, width)
    rounded = {
        name: {key: np.round(value.tolist(), 6).tolist() for key, value in outputs.items()}
        for name, outputs in expected.items()
    }
    (out / "expected.json").write_text(json.dumps(rounded))


def others(out: Path, width: int) -> dict[str, dict[str, torch.Tensor]]:
    """Writes a file of each further code base; returns what their encoders compute."""
    expected = {}

    def save(name: str, content: dict, encoder: nn.Module, **heads: nn.Module) -> None:
        torch.save(content, out / name)
        features = encoder(images(name)).flatten(1)
        expected[name] = {key: head(features) for key, head in heads.items()}
        expected[name]["final_avg_pool"] = features

    def narrow() -> tuple[nn.Module, int]:
        return Narrow(BasicBlock, [2, 2, 2, 2], width=width), 8 * width

    def body(resnet: nn.Module) -> nn.Module:
        return nn.Sequential(*list(resnet.children())[:-1])

    # solo-learn on CIFAR: a stem padded by 2, no pooling; a configuration of OmegaConf's.
    module, (resnet, dim) = nn.Module(), narrow()
    resnet.conv1 = nn.Conv2d(3, width, 3, 1, padding=2, bias=False)
    resnet.maxpool, resnet.fc = nn.Identity(), nn.Identity()
    module.backbone, module.classifier = resnet, nn.Linear(dim, 4)
    module.projector = nn.Sequential(nn.Linear(dim, 6), nn.ReLU(), nn.Linear(6, 5))
    module.momentum_backbone = narrow()[0].layer1
    randomize(module)
    settings = omegaconf.OmegaConf.create(
        {"method": "simclr", "data": {"dataset": "cifar10", "num_workers": 4}, "lr": 0.4}
    )
    content = {"state_dict": module.state_dict(), "hyper_parameters": settings, "epoch": 3}
    save("solo_learn.ckpt", content, body(resnet), logits_sup=module.classifier)

    for name in ("moco_v1.pth.tar", "moco_v2.pth.tar"):
        module = nn.Module()
        for part in ("encoder_q", "encoder_k"):
            resnet, dim = narrow()
            resnet.fc = nn.Linear(dim, 6)
            if "v2" in name:
                resnet.fc = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), resnet.fc)
            setattr(module, part, resnet)
        module.register_buffer("queue", torch.randn(6, 8))
        module.register_buffer("queue_ptr", torch.zeros(1, dtype=torch.long))
        randomize(module)
        state = {f"module.{key}": value for key, value in module.state_dict().items()}
        content = {"epoch": 3, "arch": "resnet18", "state_dict": state, "optimizer": {}}
        save(name, content, body(module.encoder_q))

    module, (resnet, dim) = nn.Module(), narrow()
    resnet.fc = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, 6))
    module.backbone = resnet
    randomize(module)
    content = {"epoch": 3, "arch": "resnet18", "state_dict": module.state_dict()}
    save("sthalles.pth.tar", content, body(resnet))

    # lightly-train: torchvision's network without its classifier, and modules pickled beside it.
    module, (resnet, dim) = nn.Module(), narrow()
    module.embedding_model = nn.Module()
    module.embedding_model.wrapped_model = nn.Module()
    del resnet.fc
    module.embedding_model.wrapped_model._features = resnet
    module.projection_head = SimCLRProjectionHead(dim, dim, 6)
    randomize(module)
    mean, std = NORMALIZED["lightly_train.ckpt"]
    content = {
        "state_dict": module.state_dict(),
        "lightly_train": {
            "version": "0.6.0",
            "models": {"model": nn.Linear(2, 2)},
            "normalize_args": {"mean": mean, "std": std},
        },
    }
    encoder = nn.Sequential(*resnet.children())
    save("lightly_train.ckpt", content, encoder, proj_head_output=module.projection_head)

    resnet, dim = narrow()
    resnet.fc = nn.Linear(dim, 5)
    randomize(resnet)
    save("timm.pth", resnet.state_dict(), body(resnet), logits_sup=resnet.fc)
    return expected


def images(name: str) -> torch.Tensor:
    """Returns the images that the tests use (`images_of`), normalized as lightly does."""
    size = SIZES[name]
    raw = np.random.default_rng(0).random((2, size, size, 3), np.float32)
    mean, std = NORMALIZED.get(name, (MEAN, STD))
    return torch.from_numpy((raw - np.float32(mean)) / np.float32(std)).permute(0, 3, 1, 2)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 8)
