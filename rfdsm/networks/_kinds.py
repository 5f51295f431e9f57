"""The networks that studies train by name, and the whole numbers that they are asked for."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rfdsm._arguments import check_whole
from rfdsm._values import one_line
from rfdsm.networks._mlp import mlp
from rfdsm.networks._random_features import random_features
from rfdsm.networks._unet import unet

KINDS = ("mlp", "unet", "random-features")


def check_kind(kind: Any, kinds: tuple[str, ...] = KINDS) -> None:
    """ValueError for names that are unknown."""
    if kind not in kinds:
        raise ValueError(f"kind = {one_line(kind)} must be one of {', '.join(kinds)}")


def maker(kind: str, d: int, shape: Any, depth: Any, activation: Any) -> Callable[[int, Any], Any]:
    """Networks of a kind from width and key."""
    if kind == "mlp":
        return lambda width, key: mlp(d, width, depth, key)
    if kind == "random-features":
        return lambda width, key: random_features(d, width, key, activation=activation)
    if shape is None or math.prod(shape) != d:
        raise ValueError(f"shape = {one_line(shape)} must be (H, W) or (H, W, C) with d = {d} pixels for a U-Net")
    return lambda width, key: unet(shape, width, depth, key)


def whole_numbers(name: str, values: Any) -> list[int]:
    """Ascending. ValueError unless all are whole, >= 1 and different."""
    listed = [check_whole(name, value, 1) for value in np.atleast_1d(np.asarray(values, object))]
    if not listed or len(set(listed)) < len(listed):
        raise ValueError(f"{name} = {one_line(values)} must be one or more different whole numbers")
    return sorted(listed)
