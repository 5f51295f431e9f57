"""Losses of a family of problems with their exact derivatives by the fields that run freely in it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rfdsm.activations import Activation, Moments, tabulate
from rfdsm.activations.kept import kept
from rfdsm.activations.quadrature import padded
from rfdsm.losses import Losses
from rfdsm.machine import cores
from rfdsm.problem import FIELDS, Problem
from rfdsm.scope import jax_scope
from rfdsm.theory.populations import TABLE_TOLERANCE, check_moments, moments_at, moments_at_times
from rfdsm.theory.predict import solve_cells

NAMES = (*Losses.NAMES, "floor")
"""What is returned, in this order."""
CHUNK, VALUES = (2**6, 2**10), 2**12
"""Cells solved per compiled call, at least and at most: root finding and descent soon have few cells left. In between,
as many as keep one value for each eigenvalue of the covariance within `VALUES`."""
DIRECTIONS = len(FIELDS)
"""Every call is widened to that many derivatives: they cost little, and one executable then serves all families."""
TABLE_RANGE = (1e-9, 10.1)
"""Diffusion times at which moments may be interpolated."""
BLOCK = 256
"""Times whose moments are computed in one go where interpolation is not good enough."""


class Family:
    """Losses as a function of the free fields: one place in their coordinates for each line of a family.

    The coordinate of a continuous field is its logarithm, that of m is 1/m, which theory takes as a real number.
    `solves` counts the fixed points solved, each with the derivatives by all free fields.
    """

    def __init__(self, lines: Problem, free: tuple[str, ...]) -> None:
        self.lines, self.free, self.solves = lines, free, 0
        self._fields = {name: np.broadcast_to(getattr(lines, name), lines.shape).ravel() for name in FIELDS}

    def check_times(self, times: Any) -> None:
        """Warn if a user's activation needs breakpoints at any of these times."""
        check_moments(self.lines.activation, np.asarray(times, float), self.lines.spectrum.mean)

    def fields(self, line: np.ndarray, places: np.ndarray) -> dict[str, np.ndarray]:
        """All fields, with 1/m under the name q; line (N,), places (N, free fields)."""
        values = {name: self._fields[name][line] for name in FIELDS if name not in self.free}
        for k, name in enumerate(self.free):
            values[name] = 1 / np.maximum(places[:, k], 1e-300) if name == "m" else np.exp(places[:, k])
        values["q"] = places[:, self.free.index("m")] if "m" in self.free else 1 / values["m"]
        return values

    def __call__(self, line: np.ndarray, places: np.ndarray, exact: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Losses (NAMES, N) and their derivatives by the coordinates (NAMES, free fields, N); NaN where unsolved.

        Moments at times that run freely are interpolated to 1e-11, unless `exact`.
        """
        count = len(line)
        self.solves += count
        values, slopes = np.empty((len(NAMES), count)), np.empty((len(NAMES), len(self.free), count))
        f, spectrum = self.fields(line, places), self.lines.spectrum
        moments, changes = self._moments(f["t"], exact) if count else ((), ())
        cells = (1 / f["psi_n"], 1 / f["psi_p"], f["q"], f["t"], f["ridge"] / f["psi_p"], *moments)
        tangents = [np.zeros((DIRECTIONS, count)) for _ in cells]
        for k, name in enumerate(self.free):
            if name == "psi_n":
                tangents[0][k] = -cells[0]
            elif name == "psi_p":
                tangents[1][k], tangents[4][k] = -cells[1], -cells[4]
            elif name == "m":
                tangents[2][k] = 1
            elif name == "ridge":
                tangents[4][k] = cells[4]
            else:
                tangents[3][k] = f["t"]
                for tangent, change in zip(tangents[5:], changes, strict=True):
                    tangent[k] = f["t"] * change

        chunk = int(np.clip(2 ** int(np.log2(VALUES / spectrum.nodes.size)), *CHUNK))

        def solve_chunk(start: int) -> None:
            chosen = slice(start, min(start + chunk, count))
            size = chosen.stop - start
            part = [np.pad(values[chosen], (0, chunk - size), mode="edge") for values in cells]
            turned = [np.pad(values[:, chosen], ((0, 0), (0, chunk - size)), mode="edge") for values in tangents]
            with jax_scope():  # the setting is one of the thread
                found, changed = _respond(part, turned, spectrum.nodes, spectrum.weights)
            values[:, chosen] = np.asarray(found)[:, :size]
            slopes[:, :, chosen] = np.moveaxis(np.asarray(changed), 0, 1)[:, : len(self.free), :size]

        with ThreadPoolExecutor(cores()) as pool:
            list(pool.map(solve_chunk, range(0, count, chunk)))
        return values, slopes

    def _moments(self, t: np.ndarray, exact: bool) -> tuple[Any, Any]:
        """Moments at each time, and their derivatives by time where t runs freely."""
        times, place = np.unique(t, return_inverse=True)
        activation, variance = self.lines.activation, self.lines.spectrum.mean
        if "t" not in self.free:
            return tuple(values[place] for values in moments_at_times(activation, times, variance)), ()
        moments: Any = ()
        changes: Any = ()
        table = tabulate(activation, variance)
        interpolated = table.error <= TABLE_TOLERANCE and TABLE_RANGE[0] <= times[0] and times[-1] <= TABLE_RANGE[1]
        with jax_scope():
            if interpolated:
                moments, changes = _interpolated(table.interpolant, padded(times))
            if not interpolated or exact:
                blocks = [_padded_block(times[start : start + BLOCK]) for start in range(0, len(times), BLOCK)]
                direct = [_direct(activation)(block, variance) for block in blocks]
                moments, direct_changes = jax.tree.map(lambda *parts: np.concatenate(parts), *direct)
                # The derivatives that come with interpolation are good enough to improve a root by.
                changes = changes if interpolated else direct_changes
        moments, changes = ([np.asarray(values)[place] for values in part] for part in (moments, changes))
        return moments, changes


def _padded_block(times: np.ndarray) -> np.ndarray:
    return np.pad(times, (0, BLOCK - times.size), mode="edge")


@jax.jit
def _respond(cells: Any, tangents: Any, nodes: Any, weights: Any) -> tuple[jax.Array, jax.Array]:
    """Losses (NAMES, N) and derivatives (directions, NAMES, N) along tangents of shape (directions, N)."""

    def losses(cells: Any) -> jax.Array:
        found = solve_cells(*cells[:5], Moments(*cells[5:]), nodes, weights)
        return jnp.stack([jnp.asarray(getattr(found, name)) for name in NAMES])

    def along(tangent: Any) -> Any:
        return jax.jvp(losses, (cells,), (tangent,))

    return jax.vmap(along, out_axes=(None, 0))(tangents)


def _with_slope(moments: Any, t: Any) -> Any:
    return jax.jvp(moments, (t,), (jnp.ones_like(t),))


@kept(maxsize=1)
def _direct(activation: Activation) -> Callable[[Any, Any], tuple[Moments, Moments]]:
    return jax.jit(lambda t, variance: _with_slope(lambda times: moments_at(activation, times, variance), t))


@jax.jit
def _interpolated(interpolant: Any, t: Any) -> Any:
    """Moments and their derivatives by time from the table of the activation (`rfdsm.activations.table`)."""

    def moments(times: Any) -> Any:
        mu1, v0_squared, beta_a = interpolant(jnp.log(jnp.expm1(2 * times)))
        return mu1, v0_squared * jnp.exp(-4 * times), beta_a * -jnp.expm1(-2 * times)

    return _with_slope(moments, t)
