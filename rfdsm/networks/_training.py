"""What a training leaves: `Training`."""

import json
import math
from importlib import metadata
from typing import Any

import equinox as eqx
import jax
import numpy as np
import xarray as xr

from rfdsm import __version__, datasets
from rfdsm.losses import Losses
from rfdsm.schedules import Schedule
from rfdsm.targets import Target


class Training(eqx.Module):
    """A trained network, or several, and the losses on the way."""

    network: Any
    """Or the list of them."""
    losses: Losses
    """Last axis: the recorded steps; before it the networks, if several were trained. `train` is on the frozen pairs,
    `empirical_test` on the same points with fresh noise, `test` on fresh points; `score` and `floor` where the law is
    known, else NaN. Losses of levels are weighted as in training."""
    steps: np.ndarray
    """Recorded, ascending."""
    failed: Any
    """Step whose loss was not finite, None if all were; of several networks an array, -1 for those without."""
    n: int | None
    """Training points; None of a law."""
    d: int
    m: float
    schedule: Schedule
    target: Target
    levels: str
    batch: int
    kept: Any = None
    """Networks at the recorded steps, each as `network`, where they were to be kept."""

    @property
    def parameters(self) -> int:
        """Trained numbers of one network."""
        return parameters(self.network[0] if isinstance(self.network, list) else self.network)

    def to_dataset(self) -> xr.Dataset:
        """Losses over step (and network), with what was trained as attributes."""
        several = np.ndim(self.losses.train) > 1
        over = ("network", "step") if several else ("step",)
        names = (*Losses.NAMES, "floor", "null")
        variables = {name: datasets.variable(name, over, getattr(self.losses, name)) for name in names}
        coords: dict[str, Any] = {"step": datasets.variable("step", ("step",), self.steps, "optimiser step")}
        if several:
            coords["network"] = np.arange(np.shape(self.losses.train)[0])
        described = {"n": self.n, "d": self.d, "m": "inf" if math.isinf(self.m) else self.m}
        described |= {"parameters": self.parameters, "schedule": str(self.schedule), "target": str(self.target)}
        described |= {"levels": self.levels, "batch": self.batch}
        versions = {"rfdsm": __version__} | {name: metadata.version(name) for name in ("jax", "equinox", "optax")}
        title = "Losses of denoising score matching during training, per coordinate"
        attrs = {"title": title, "configuration": json.dumps(described), "versions": json.dumps(versions)}
        return xr.Dataset(variables, coords=coords, attrs=attrs)


def parameters(network: Any) -> int:
    """Numbers that are trained in a network."""
    spec = network.trainable() if hasattr(network, "trainable") else eqx.is_inexact_array
    return sum(x.size for x in jax.tree.leaves(eqx.filter(network, spec)))
