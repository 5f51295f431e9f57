"""Support of the spectrum of U: gaps, the edges between them, and the mass of every bulk (docs/spectrum, section 4).

In a gap all order parameters are real, and their signs fix the fraction of eigenvalues below it (its label): a few sums
of psi_p, psi_n, psi_n (m - 1) and weights of Sigma's spectrum, all else being continuous. So every gap is found by
looking, for each possible label, at the one place where the eigenvalue count passes it: the count is a monotone
function of u in closed form, and the place is a gap or it is not. An edge is where dz/dmu = 0 along the real solutions,
solved by Newton's method within a bracket of a point in the gap and one beyond it.
"""

import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rfdsm._batches import in_chunks
from rfdsm._executables import jitted
from rfdsm.theory._populations import Populations
from rfdsm.theory._resolvent import PARAMETERS, SMALL_CHUNK, Cells, evaluate, evaluate_pairs

DECADES = 20
"""Decades below the largest possible eigenvalue in which non-zero eigenvalues are looked for."""
SAME = 1e-9
"""Counts closer than this are one label: rounding stays far below."""
VANISHED = 1e-90
"""All eigenvalues vanish if none can exceed this: the activation is constant."""
ACCURACY = 1e-10
"""Relative error within which an edge is proven: of the points at this distance one lies in the gap, one does not."""
NARROWEST = 1e-13
"""Relative width below which an interval is a point."""


class Support(NamedTuple):
    """Bulks and atoms in ascending order, padded with NaN (places) and 0 (masses) to the most any problem has."""

    edges: np.ndarray  # (cells, bulks, 2), as distances from the origin
    masses: np.ndarray  # (cells, bulks)
    atom_locations: np.ndarray  # (cells, atoms)
    atom_masses: np.ndarray


def largest_eigenvalue_bound(parameters: dict[str, np.ndarray], nodes: np.ndarray) -> np.ndarray:
    """Sum of the largest eigenvalues of factors and summands of U, (cells,)."""
    per_n, per_p, q, a_squared, h, L, beta_psi, beta_a = (parameters[name] for name in PARAMETERS)
    square = (1 + per_p**-0.5) ** 2  # of W W^T/d
    of_a = L * h * square + beta_a
    of_s = L * a_squared * nodes.max() * square + beta_psi + q * of_a
    per_sample = (per_n / per_p) ** 0.5
    return of_s * (1 + per_sample) ** 2 + of_a * ((1 - q) ** 0.5 + q**0.5 * per_sample) ** 2


def labels(problems: Cells, least: np.ndarray) -> np.ndarray:
    """Fractions of eigenvalues above `least` that may lie below a gap, (cells, labels), NaN where an option is void."""
    per_n, per_p, q = (problems.parameters[name] for name in PARAMETERS[:3])
    order = np.argsort(problems.nodes)
    sums = np.concatenate([[0.0], np.cumsum(problems.weights[order])])
    negative = np.unique(np.concatenate([sums, 1 - sums]))  # weight of 1 + w < 0: w is linear in s
    with np.errstate(divide="ignore", invalid="ignore"):
        draws = np.where(q > 0, (1 - q) / (q * per_n), np.nan)
    columns = []
    for G, s, a in itertools.product((0, 1), (0, 1), (0, 1)):
        base = G / per_p - s / per_n - (draws if a else 0)
        columns += [per_p * (base + (1 - 2 * G) * part) for part in negative]
    found = np.stack(columns, axis=1)
    found[~((found > least[:, None] + SAME) & (found < 1 - SAME))] = np.nan
    found.sort(axis=1)
    found[:, 1:][np.diff(found, axis=1) < SAME] = np.nan
    return found


def find_gaps(problems: Cells, least: np.ndarray, bottom: np.ndarray, top: np.ndarray) -> tuple[np.ndarray, ...]:
    """Gaps between bulks: cell, label, a point with fewer eigenvalues below, one with more, and one in the gap."""
    index, column = np.nonzero(np.isfinite(found := labels(problems, least)))
    target = found[index, column]
    # A first look on a common grid, denser where spectra usually are.
    fraction = np.linspace(1, 0, 72) ** 2
    grid = top[:, None] * (bottom / top)[:, None] ** fraction
    cell = np.repeat(np.arange(problems.size), fraction.size)
    first = evaluate_pairs(problems, cell, grid.ravel())
    below, outside = (values.reshape(grid.shape)[index] for values in (first.below, first.outside))
    grid = grid[index]
    lower, upper = below < target[:, None] - SAME, below > target[:, None] + SAME
    hit = outside & ~lower & ~upper
    low = np.max(np.where(lower, grid, bottom[index, None]), axis=1, initial=0)
    high = np.min(np.where(upper, grid, top[index, None]), axis=1, initial=np.inf)
    place = np.where(hit.any(axis=1), np.take_along_axis(grid, hit.argmax(axis=1)[:, None], axis=1)[:, 0], np.nan)

    active = np.flatnonzero(np.isnan(place))
    point, step = np.zeros(target.size), np.full(target.size, np.nan)  # Newton's step towards the label, and whence
    for round_ in range(80):
        active = active[high[active] > low[active] * (1 + NARROWEST)]
        if not active.size:
            break
        # Below a gap Newton stops short of it, as the density vanishes at its edge: every other step goes twice as far.
        aim = point[active] + (1 + round_ % 2) * step[active]
        usable = (aim > low[active]) & (aim < high[active]) & (round_ % 4 != 0)  # a NaN is not
        v = np.where(usable, aim, np.sqrt(low[active] * high[active]))
        points = evaluate_pairs(problems, index[active], v)
        missing = target[active] - points.below
        hit = points.outside & (np.abs(missing) < SAME)
        place[active[hit]] = v[hit]
        low[active] = np.where(~hit & (missing > 0), v, low[active])
        high[active] = np.where(~hit & (missing <= 0), v, high[active])
        moved = np.divide(missing, points.density, out=np.full(v.size, np.nan), where=points.density > 0)
        point[active], step[active] = v, moved
        active = active[~hit]
    kept = np.isfinite(place)
    return index[kept], target[kept], low[kept], high[kept], place[kept]


def _turning_point(y: Any, parameters: Any, nodes: Any, weights: Any) -> tuple[Any, Any]:
    """Where dz/dmu = 0 along the real solutions, by Newton's method from y (3,): z, and the last relative change."""
    P = Populations(**parameters, unit=1.0, ridge=1.0, nodes=nodes, weights=weights)

    def equations(y: Any) -> Any:
        state = evaluate((y[0], y[1], y[2]), 0.0, P)
        return jnp.stack([state.residual[0], state.residual[1], state.slope])

    def step(_: Any, carry: Any) -> Any:
        y, _ = carry
        scale = jnp.where(y == 0, 1.0, y)
        J = jax.jacfwd(equations)(y) * scale
        rows = jnp.max(jnp.abs(J), axis=1)
        move = jnp.linalg.solve(J / rows[:, None], -equations(y) / rows) * scale
        return y + move, jnp.max(jnp.abs(move / scale))

    y, moved = jax.lax.fori_loop(0, 12, step, (y, jnp.inf))
    return -y[2] * evaluate((y[0], y[1], y[2]), 0.0, P).free, moved


_turning_points = jitted(jax.vmap(_turning_point, in_axes=(0, 0, None, None)))


def turning_points(problems: Cells, index: np.ndarray, reals: np.ndarray) -> np.ndarray:
    """Edges by Newton's method from real solutions (3, edges) near them; NaN where it does not converge."""
    if not index.size:
        return np.empty(0)

    def take(edges: Any) -> Any:
        return reals[:, edges].T, {name: values[index[edges]] for name, values in problems.parameters.items()}

    z, moved = in_chunks(lambda x: _turning_points(*x, problems.nodes, problems.weights), take, index.size, SMALL_CHUNK)
    return np.where(moved < 1e-8, z, np.nan)


def edge_between(
    problems: Cells, index: np.ndarray, label: np.ndarray, gap: np.ndarray, beyond: np.ndarray
) -> np.ndarray:
    """The edge between a point in the gap of a label and one beyond it, on either side."""
    gap, beyond = gap.copy(), beyond.copy()
    edge = np.full(gap.size, np.nan)
    reals = np.full((3, gap.size), np.nan)

    def look(who: np.ndarray, v: np.ndarray) -> None:
        """Shrink the brackets by whether points lie in the gap."""
        points = evaluate_pairs(problems, index[who], v)
        within = points.outside & (np.abs(points.below - label[who]) < SAME)
        reals[:, who[within]] = np.stack([points.y_s, points.y_a, points.mu])[:, within]
        gap[who] = np.where(within, v, gap[who])
        beyond[who] = np.where(within, beyond[who], v)

    active = np.arange(gap.size)
    for round_ in range(70):
        look(active, np.sqrt(gap[active] * beyond[active]))
        if round_ % 3 == 2:
            known = active[np.isfinite(reals[2, active])]
            v = turning_points(problems, index[known], reals[:, known])
            low, high = np.minimum(gap[known], beyond[known]), np.maximum(gap[known], beyond[known])
            possible = (v > low) & (v < high)
            known, v = known[possible], v[possible]
            # A candidate is the edge if points at the claimed accuracy on either side of it say so.
            width = ACCURACY * v * np.sign(gap[known] - beyond[known])
            for side in (width, -width):
                inside = (v + side - gap[known]) * (v + side - beyond[known]) < 0
                look(known[inside], (v + side)[inside])
            proven = np.abs(gap[known] - beyond[known]) <= 2.01 * np.abs(width)
            edge[known[proven]] = v[proven]
        wide = np.abs(gap[active] - beyond[active]) > NARROWEST * gap[active]
        active = active[np.isnan(edge[active]) & wide]
        if not active.size:
            break
    return np.where(np.isnan(edge), (gap + beyond) / 2, edge)


def support(problems: Cells) -> Support:
    """Bulks, their masses, and atoms of all problems."""
    every = np.arange(problems.size)
    top = 2 * largest_eigenvalue_bound(problems.parameters, problems.nodes)
    bottom = top * 10.0**-DECADES
    lowest = evaluate_pairs(problems, every, bottom)
    # What lies below the lowest point is an atom at the origin; at a hard edge it includes some of the bulk.
    free = lowest.outside
    least = np.where(free, lowest.below, problems.mass_at_origin)
    least[dead := top < VANISHED] = 1.0
    gap_cell, gap_label, fewer, more, place = find_gaps(problems, least, bottom, top)

    gapless = every[free]
    index = np.concatenate([gap_cell, gap_cell, gapless, every])
    label = np.concatenate([gap_label, gap_label, least[free], np.ones(problems.size)])
    inner = np.concatenate([place, place, bottom[free], top])
    outer = np.concatenate([fewer, more, top[free], bottom])
    edge = edge_between(problems, index, label, inner, outer)
    lower_of_gap, upper_of_gap, first, last = np.split(edge, np.cumsum([place.size, place.size, gapless.size]))
    lowest_edge = np.zeros(problems.size)
    lowest_edge[free] = first

    # Between consecutive labels lies a bulk: from the upper edge of one gap to the lower edge of the next.
    order = np.lexsort((np.concatenate([least, gap_label]), np.concatenate([every, gap_cell])))
    cell = np.concatenate([every, gap_cell])[order]
    begin = np.concatenate([lowest_edge, upper_of_gap])[order]
    below = np.concatenate([least, gap_label])[order]
    order = np.lexsort((np.concatenate([gap_label, np.ones(every.size)]), np.concatenate([gap_cell, every])))
    end = np.concatenate([lower_of_gap, last])[order]
    mass = np.concatenate([gap_label, np.ones(every.size)])[order] - below

    origin = problems.origin[cell]
    point = end - begin <= 10 * NARROWEST * (origin + end)
    bulk = ~point & ~dead[cell]
    point &= mass > SAME
    edges, masses = _padded(problems.size, cell[bulk], np.stack([begin, end], axis=1)[bulk], mass[bulk])
    at_origin = every[least > SAME]
    owners = np.concatenate([at_origin, cell[point]])
    places = np.concatenate([problems.origin[at_origin], (origin + end)[point]])
    locations, atom_masses = _padded(problems.size, owners, places, np.concatenate([least[at_origin], mass[point]]))
    return Support(edges, masses, locations, atom_masses)


def _padded(count: int, cell: np.ndarray, values: np.ndarray, masses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ragged lists as arrays (count, longest, ...), in the given order within each cell."""
    order = np.argsort(cell, kind="stable")
    cell, values, masses = cell[order], values[order], masses[order]
    length = np.bincount(cell, minlength=count)
    slot = np.arange(cell.size) - np.repeat(np.cumsum(length) - length, length)
    shape = (count, int(length.max(initial=0)))
    all_values, all_masses = np.full((*shape, *values.shape[1:]), np.nan), np.zeros(shape)
    all_values[cell, slot], all_masses[cell, slot] = values, masses
    return all_values, all_masses
