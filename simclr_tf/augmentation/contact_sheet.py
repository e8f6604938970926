"""A picture of images, their views, and what was drawn for each view."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw

from simclr_tf.augmentation.views import Views

_CELL, _GAP, _LINE = 224, 8, 14
_COLORS = ("#e4572e", "#17bebb")  # of the two views' frames
_OPERATIONS = ("brightness", "contrast", "saturation", "hue")


def draw_contact_sheet(samples: Sequence[tuple[tf.Tensor, tf.Tensor]], views: Views) -> Image.Image:
    """Draws a row per image: the original with the boxes cropped, each view, its parameters.

    Args:
      samples: uint8 images `[h, w, 3]` of any size, and their seeds, int32 `[2]`.
      views: makes the views.

    Returns:
      An RGB picture.
    """
    row_height = _CELL + 5 * _LINE + _GAP
    size = ((views.views_per_image + 1) * (_CELL + _GAP) + _GAP, len(samples) * row_height + _GAP)
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for row, (image, seed) in enumerate(samples):
        top = _GAP + row * row_height
        drawn = views.parameters(seed, *image.shape[:2])
        original, scale = _fit(image.numpy())
        sheet.paste(original, (_GAP, top))
        made = tf.reshape(
            views.of_one(image, seed), [views.views_per_image, *[views.image_size] * 2, 3]
        )
        for view, color in zip(range(views.views_per_image), itertools.cycle(_COLORS)):
            left = _GAP + (view + 1) * (_CELL + _GAP)
            box = {name: int(value) for name, value in drawn[view]["crop"].items()}
            corner = _GAP + box["left"] * scale, top + box["top"] * scale
            extent = box["box_width"] * scale, box["box_height"] * scale
            far = corner[0] + extent[0] - 1, corner[1] + extent[1] - 1
            pen.rectangle((*corner, *far), outline=color, width=2)
            pixels = np.round(made[view].numpy() * 255).astype(np.uint8)
            sheet.paste(_fit(pixels)[0], (left, top))
            pen.rectangle((left, top, left + _CELL - 1, top + _CELL - 1), outline=color, width=2)
            for line, text in enumerate(describe_view(drawn[view], image.shape)):
                pen.text((left, top + _CELL + line * _LINE), text, fill="black")
    return sheet


def _fit(pixels: np.ndarray) -> tuple[Image.Image, float]:
    """Scales pixels to a cell's width or height, small ones without smoothing."""
    height, width, _ = pixels.shape
    scale = _CELL / max(height, width)
    how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BICUBIC
    shape = max(1, round(width * scale)), max(1, round(height * scale))
    return Image.fromarray(pixels).resize(shape, how), scale


def describe_view(drawn: dict[str, dict[str, np.ndarray]], shape: Sequence[int]) -> list[str]:
    """Says in five short lines what happened to one view.

    Args:
      drawn: of one view, see `Views.parameters`.
      shape: of the image.
    """
    box = drawn["crop"]
    share = box["box_height"] * box["box_width"] / (shape[0] * shape[1])
    flipped = ", flipped" if drawn["flip"]["apply"] else ""
    lines = [f"crop {share:.0%}, {box['box_width']} x {box['box_height']}{flipped}"]
    jitter = drawn.get("jitter")
    if jitter is not None and jitter["apply"]:
        words = [
            f"{_OPERATIONS[i]} {jitter[_OPERATIONS[i]]:{'+.2f' if i == 3 else '.2f'}}"
            for i in jitter["order"]
        ]
        lines += [", ".join(words[:2]), ", ".join(words[2:])]
    if "grayscale" in drawn and drawn["grayscale"]["apply"]:
        lines.append("grayscale")
    if "blur" in drawn and drawn["blur"]["apply"]:
        lines.append(f"blur sigma {drawn['blur']['sigma']:.2f}")
    return lines
