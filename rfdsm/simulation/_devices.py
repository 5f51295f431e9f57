"""Spreading a simulation over devices, of this process or of several joined by `jax.distributed`.

Trials are dealt out as far as they go; the devices that remain share the draws of one trial, whose moments are summed.
The solve is repeated on each of those. With 4 devices 8 trials run 2 to a device, 1 trial runs on all 4, and 6 trials
run as 2 groups of 2 devices with 3 trials each.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from rfdsm._hints import Count
from rfdsm._values import one_line
from rfdsm.simulation._design import DRAWS

TRIALS = "trials"


def checked(devices: Any) -> list[Any]:
    """The devices to use; None stands for all of them. ValueError for anything but a sequence of different devices."""
    if devices is None:
        return jax.devices()
    given = np.atleast_1d(devices) if isinstance(devices, np.ndarray) else devices
    listed = list(given) if isinstance(given, Sequence | np.ndarray) else []
    if not listed or not all(isinstance(device, jax.Device) for device in listed) or len(set(listed)) < len(listed):
        raise ValueError(
            f"devices = {one_line(devices)} must be a list of different JAX devices, such as jax.devices()"
        )
    return listed


def mesh(devices: list[Any], trials: Count) -> Mesh:
    """Devices in rows, one for each group of trials, of as many as share the draws of a trial."""
    groups = math.gcd(len(devices), trials)
    return Mesh(np.array(devices).reshape(groups, -1), (TRIALS, DRAWS))


def spread(function: Callable[..., Any], mesh: Mesh) -> Callable[..., Any]:
    """`function(trial_data, *rest)`, with the leading axis of trial_data and of the results dealt out over the mesh.

    Every process gets all results.
    """
    groups, shards = mesh.devices.shape
    if groups * shards == 1:
        return function

    def local(first: Any, *rest: Any) -> Any:
        return jax.tree.map(lambda x: jax.lax.all_gather(x, TRIALS, tiled=True), function(first, *rest))

    def everywhere(first: Any, *rest: Any) -> Any:
        specs = (PartitionSpec(TRIALS), *(PartitionSpec() for _ in rest))
        # What is not summed over devices is computed alike on each, which the checker cannot know.
        return jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=PartitionSpec(), check_vma=False)(first, *rest)

    return everywhere
