"""A small U-Net for images that knows the level: `unet`."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rfdsm._arguments import base_key, check_whole
from rfdsm._values import one_line
from rfdsm.networks._mlp import EMBEDDING, embedding

GROUPS = 4
"""Of channels, normalised together."""


class Block(eqx.Module):
    """Two 3 x 3 convolutions with what the level says in between, and a way past them."""

    first: eqx.nn.Conv2d
    second: eqx.nn.Conv2d
    norms: list[eqx.nn.GroupNorm]
    shift: eqx.nn.Linear
    past: eqx.nn.Conv2d

    def __init__(self, inside: int, outside: int, *, key: Any) -> None:
        keys = jax.random.split(key, 4)
        self.first = eqx.nn.Conv2d(inside, outside, 3, padding=1, key=keys[0])
        self.second = eqx.nn.Conv2d(outside, outside, 3, padding=1, key=keys[1])
        self.norms = [eqx.nn.GroupNorm(_groups(inside), inside), eqx.nn.GroupNorm(_groups(outside), outside)]
        self.shift = eqx.nn.Linear(EMBEDDING, outside, key=keys[2])
        self.past = eqx.nn.Conv2d(inside, outside, 1, key=keys[3])

    def __call__(self, x: Float[Array, "C H W"], told: Float[Array, " embedding"]) -> Float[Array, "D H W"]:
        y = self.norms[1](self.first(jax.nn.silu(self.norms[0](x))))
        y = y + self.shift(told)[:, None, None]  # after the norm, which takes out what is constant over a channel
        return self.second(jax.nn.silu(y)) + self.past(x)


class UNet(eqx.Module):
    """Flat images (d,) -> (d,), d = H W C: blocks on the way down, halving the image, and up, beside those of the way
    down."""

    shape: tuple[int, int, int] = eqx.field(static=True)
    first: eqx.nn.Conv2d
    down: list[Block]
    middle: Block
    up: list[Block]
    last: eqx.nn.Conv2d

    def __call__(self, y: Float[Array, " d"], level: Any) -> Float[Array, " d"]:
        told = embedding(level, y.dtype)
        x = y / jnp.sqrt(level.a**2 + level.h).astype(y.dtype)
        x = self.first(jnp.moveaxis(x.reshape(self.shape), -1, 0))
        passed = []
        for block in self.down:
            x = block(x, told)
            passed.append(x)
            x = _halved(x)
        x = self.middle(x, told)
        for block, beside in zip(self.up, reversed(passed), strict=True):
            x = block(jnp.concatenate([_doubled(x), beside]), told)
        return jnp.moveaxis(self.last(jax.nn.silu(x)), 0, -1).reshape(-1)


def unet(shape: Any, channels: Any = 16, depth: Any = 2, key: Any = 0) -> UNet:
    """A U-Net for images of this shape, given as rows of H W C numbers.

    Args:
        shape: (H, W) or (H, W, C); H and W are multiples of 2^depth.
        channels: of the finest level, doubled with every halving of the image.
        depth: number of halvings.
        key: integer or JAX key, of the initial weights.

    Examples:
        >>> from rfdsm import networks
        >>> networks.parameters(networks.unet((8, 8), channels=8, depth=1))
        8745
    """
    sizes = tuple(shape) if isinstance(shape, tuple | list) else ()
    if len(sizes) not in (2, 3):
        raise ValueError(f"shape = {one_line(shape)} must be (H, W) or (H, W, C)")
    H, W, C = (check_whole("shape", size, 1) for size in (*sizes, 1)[:3])
    channels, depth = check_whole("channels", channels, 1), check_whole("depth", depth, 1)
    if H % 2**depth or W % 2**depth:
        raise ValueError(f"shape = {one_line(shape)} must have H and W that are multiples of 2^depth = {2**depth}")
    keys = jax.random.split(base_key(key), 2 * depth + 3)
    wide = [channels * 2**k for k in range(depth + 1)]
    down = [Block(wide[max(k - 1, 0)], wide[k], key=keys[k]) for k in range(depth)]
    up = [Block(wide[k + 1] + wide[k], wide[k], key=keys[depth + k]) for k in reversed(range(depth))]
    first = eqx.nn.Conv2d(C, channels, 3, padding=1, key=keys[-3])
    middle = Block(wide[-2], wide[-1], key=keys[-2])
    last = eqx.nn.Conv2d(channels, C, 3, padding=1, key=keys[-1])
    return UNet((H, W, C), first, down, middle, up, last)


def _groups(channels: int) -> int:
    return next(count for count in range(min(GROUPS, channels), 0, -1) if channels % count == 0)


def _halved(x: Float[Array, "C H W"]) -> Float[Array, "C h w"]:
    C, H, W = x.shape
    return x.reshape(C, H // 2, 2, W // 2, 2).mean(axis=(2, 4))


def _doubled(x: Float[Array, "C H W"]) -> Float[Array, "C h w"]:
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
