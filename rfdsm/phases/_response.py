"""Losses of a family of problems with their exact derivatives by the fields that run freely in it."""

import functools
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rfdsm._batches import filled, in_chunks
from rfdsm._executables import jitted
from rfdsm._problem import FIELDS, Problem
from rfdsm._scope import jax_scope
from rfdsm.activations import Activation, Moments, tabulate
from rfdsm.activations._kept import kept
from rfdsm.activations._quadrature import padded
from rfdsm.activations._table import interpolated
from rfdsm.losses import Losses
from rfdsm.schedules import Level, Schedule
from rfdsm.targets import Asked, Target
from rfdsm.theory._populations import TABLE_TOLERANCE, check_moments, moments_at, moments_at_levels
from rfdsm.theory._predict import solve_cells

NAMES = (*Losses.NAMES, *Losses.BOUNDS)
"""What is returned, in this order."""
CHUNK, VALUES = (2**6, 2**10), 2**12
"""Cells solved per compiled call, at least and at most: root finding and descent soon have few cells left. In between,
as many as keep one value for each eigenvalue of the covariance within `VALUES`."""
DIRECTIONS = len(FIELDS)
"""Every call is widened to that many derivatives: they cost little, and one executable then serves all families."""
BLOCK = 256
"""Times whose moments are computed in one go where interpolation is not good enough."""


class Family:
    """Losses as a function of the free fields: one place in their coordinates for each line of a family.

    The coordinate of a continuous field is its logarithm, that of m is 1/m, which theory takes as a real number.
    `solves` counts the fixed points solved, each with the derivatives by all free fields.
    """

    def __init__(self, lines: Problem, free: tuple[str, ...]) -> None:
        self.lines, self.free, self.solves = lines, free, 0
        self._moments: dict[bytes, Any] = {}
        self._fields = {name: own.ravel() for name, own in zip(FIELDS, lines.broadcast(), strict=True)}

    def check_times(self, times: Any) -> None:
        """Warn if a user's activation needs breakpoints at any of these times."""
        level = self.lines.asked_at(np.asarray(times, float))
        check_moments(self.lines.activation, level.a, level.h, self.lines.spectrum.mean)

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
        values, slopes = np.empty((count, len(NAMES))), np.empty((count, DIRECTIONS, len(NAMES)))
        f, spectrum = self.fields(line, places), self.lines.spectrum
        at_time, changes = self._at_time(f["t"], exact) if count else ((), ())
        cells = (1 / f["psi_n"], 1 / f["psi_p"], f["q"], f["ridge"] / f["psi_p"], *at_time)
        tangents = [np.zeros((count, DIRECTIONS)) for _ in cells]
        for k, name in enumerate(self.free):
            if name == "psi_n":
                tangents[0][:, k] = -cells[0]
            elif name == "psi_p":
                tangents[1][:, k], tangents[3][:, k] = -cells[1], -cells[3]
            elif name == "m":
                tangents[2][:, k] = 1
            elif name == "ridge":
                tangents[3][:, k] = cells[3]
            else:
                for tangent, change in zip(tangents[4:], changes, strict=True):
                    tangent[:, k] = f["t"] * change

        chunk = int(np.clip(2 ** int(np.log2(VALUES / spectrum.nodes.size)), *CHUNK))

        def run(places: Any, peaks: bool) -> None:
            in_chunks(
                lambda x: _respond(*x, spectrum.nodes, spectrum.weights, peaks=peaks),
                lambda chosen: jax.tree.map(lambda x: x[chosen], (list(cells), tangents)),
                places,
                chunk,
                (values, slopes),
            )

        run(count, peaks=False)
        run(np.flatnonzero(np.any(np.isnan(values), axis=1)), peaks=True)  # next to p = nm, or unsolved
        return values.T, np.moveaxis(slopes, 0, -1)[: len(self.free)].swapaxes(0, 1)

    def _at_time(self, t: np.ndarray, exact: bool) -> tuple[Any, Any]:
        """Level, target and moments at each time, and their derivatives by time where t runs freely."""
        times, place = np.unique(t, return_inverse=True)
        lines, variance = self.lines, self.lines.spectrum.mean
        known = lines.asked_at(times)
        if "t" not in self.free:
            which = times.tobytes()
            if which not in self._moments:  # lines of one time ask for the same again and again
                levels = (known.a, known.h, variance, lines.schedule)
                self._moments = {which: moments_at_levels(lines.activation, *levels)}
            moments = self._moments[which]
            return tuple(values[place] for values in (*known, *moments)), ()
        found: Any = ()
        changes, table = (), None
        if lines.schedule.signal_at(known.h[:1], variance) is not None:
            table = tabulate(lines.activation, variance, lines.schedule)
            if not (table.error <= TABLE_TOLERANCE and table.covers(known.h / known.a**2)):
                table = None
        with jax_scope():
            if table is not None:
                found, changes = _interpolated(lines.schedule, lines.target)(table.interpolant, padded(times), variance)
            if table is None or exact:
                blocks = [filled(times[start : start + BLOCK], BLOCK) for start in range(0, len(times), BLOCK)]
                compiled = _direct(lines.activation, lines.schedule, lines.target)
                direct = [compiled(block, variance) for block in blocks]
                found, direct_changes = jax.tree.map(lambda *parts: np.concatenate(parts), *direct)
                # The derivatives that come with interpolation are good enough to improve a root by.
                changes = direct_changes if table is None else changes
        found, changes = ([np.asarray(values)[place] for values in part] for part in (found, changes))
        return found, changes


@functools.partial(jitted, static_argnames="peaks")
def _respond(cells: Any, tangents: Any, nodes: Any, weights: Any, *, peaks: bool) -> tuple[jax.Array, jax.Array]:
    """Losses (N, NAMES) and derivatives (N, directions, NAMES) along tangents of shape (N, directions)."""

    def losses(cells: Any) -> jax.Array:
        per_n, per_p, q, ridge, *at_time = cells
        asked, moments = Asked(*at_time[:5]), Moments(*at_time[5:])
        found = solve_cells(per_n, per_p, q, asked, ridge, moments, nodes, weights, peaks=peaks)
        return jnp.stack([jnp.asarray(getattr(found, name)) for name in NAMES], axis=-1)

    def along(tangent: Any) -> Any:
        return jax.jvp(losses, (cells,), (tangent,))

    return jax.vmap(along, in_axes=1, out_axes=(None, 1))(tangents)


def _with_slope(schedule: Schedule, target: Target, moments: Callable[[Level], Moments], t: Any, variance: Any) -> Any:
    """Level, target and moments, eight arrays, and their derivatives by time."""

    def at(times: Any) -> list[Any]:
        level = schedule.level(times, variance)
        found = [*level, *target.coefficients(level, variance), *moments(level)]
        return [jnp.broadcast_to(jnp.asarray(values, float), times.shape) for values in found]

    return jax.jvp(at, (t,), (jnp.ones_like(t),))


@kept(maxsize=4)
def _direct(activation: Activation, schedule: Schedule, target: Target) -> Callable[[Any, Any], Any]:
    def found(t: Any, variance: Any) -> Any:
        return _with_slope(
            schedule, target, lambda level: moments_at(activation, level.a, level.h, variance), t, variance
        )

    return jitted(found)


@lru_cache(maxsize=16)
def _interpolated(schedule: Schedule, target: Target) -> Callable[[Any, Any, Any], Any]:
    """The same with moments from the table of an activation (`rfdsm.activations.table`)."""

    def found(interpolant: Any, t: Any, variance: Any) -> Any:
        return _with_slope(schedule, target, lambda level: interpolated(interpolant, level.h / level.a**2), t, variance)

    return jitted(found)
