"""Spectrum of the feature matrix: theory's `spectral_density` (docs/spectrum).

The density is Im q(u + i0)/pi, q the resolvent's normalised trace, solved for on the real axis itself (`resolvent`).
Where there is no bulk (`edges`), it is exactly zero.
"""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float

from rfdsm._arguments import number_array
from rfdsm._hints import Count, Numbers
from rfdsm._problem import Problem, check_problem
from rfdsm.theory._edges import Support, support
from rfdsm.theory._resolvent import PARAMETERS, Cells, cells, evaluate_pairs

NODES, PANELS, REFINEMENTS = 12, 4, 14
"""Gauss-Legendre nodes per panel, panels per bulk to begin with, and how often one may be halved."""
PANEL_ERROR = 1e-10
"""Fraction of a bulk's mass that one of its panels may miss, apart from rounding."""
HARD_EDGE = 1e-20
"""Where quadrature begins in a bulk that reaches down to zero, relative to its upper edge."""
WIDE = 4.0
"""Ratio of a bulk's edges from which its quadrature is in log u."""


class Atoms(eqx.Module):
    """Points of positive mass, ascending: arrays (..., atoms), padded with NaN locations and masses 0."""

    locations: Float[np.ndarray, "... atoms"]
    masses: Float[np.ndarray, "... atoms"]


class SpectralDensity(eqx.Module):
    """Limiting spectrum of U = Phi Phi^T/(nm), normalised to mass 1: density of its continuous part, bulks and atoms.

    Axes written ... are the problem's; that of `u` comes last.
    """

    problem: Problem
    u: Float[np.ndarray, "..."]
    density: Float[np.ndarray, "..."]
    """Density at u, exactly 0 outside the bulks; inf at u = 0 if the spectrum reaches it; NaN where not converged."""
    cumulative: Float[np.ndarray, "..."]
    """Fraction of the eigenvalues that are at most u, atoms included, in closed form; NaN where not converged."""
    edges: Float[np.ndarray, "... bulks 2"]
    """Lower and upper edge of every bulk, ascending, padded with NaN to the most bulks of any problem."""
    masses: Float[np.ndarray, "... bulks"]
    """Mass of every bulk, exact; padded with 0."""
    atoms: Atoms
    """Points that hold a mass: null directions at 0, or at beta_a for m = inf, and bulks narrower than rounding."""
    converged: Bool[np.ndarray, "..."]

    @property
    def mass(self) -> np.ndarray:
        """Total mass by quadrature of the density, atoms included: 1 up to the error of `integrate`."""
        return self.integrate(np.ones_like)

    def moment(self, k: Count) -> np.ndarray:
        """Integral of u^k over the spectrum, that is lim tr U^k/p."""
        return self.integrate(lambda u: u**k)

    def integrate(self, function: Callable[[np.ndarray], Any]) -> np.ndarray:
        """Integral of a function over the spectrum, lim tr function(U)/p, of the problem's shape.

        The function is called once, on the vector of all nodes, and should vary no faster than u does.
        """
        (index, u, weights), shape = self.rule(), self.problem.shape
        return np.bincount(index, weights * np.asarray(function(u)), math.prod(shape)).reshape(shape)

    def rule(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Quadrature over the spectra of all problems: flat index of the problem, node u, weight, three vectors.

        Atoms are nodes. In the bulks, Gauss-Legendre panels in the angle phi of u = middle - radius cos(phi) (of log u
        in bulks that span decades), which absorbs the square roots at the edges, with the density solved for at each
        node. Panels are halved until each holds its mass to 1e-10 of the bulk's, as told by the eigenvalue count in
        closed form.
        """
        problems = cells(self.problem)
        edges, masses = _flat(self.edges, 2) - problems.origin[:, None, None], _flat(self.masses, 1)
        locations, atoms = _flat(self.atoms.locations, 1), _flat(self.atoms.masses, 1)
        index, v, weights = quadrature(problems, edges, masses, atoms.sum(axis=1))
        own, slot = np.nonzero(atoms)
        u = np.concatenate([locations[own, slot], v + problems.origin[index]])
        return np.concatenate([own, index]), u, np.concatenate([atoms[own, slot], weights])


def spectral_density(problem: Problem, u: Numbers) -> SpectralDensity:
    """Limiting eigenvalue density of the feature matrix U = Phi Phi^T/(nm), for any m and any spectrum of Sigma.

    The ridge does not enter: U is the same for all. Computed in float64 whatever JAX's global precision. A covariance
    given as a quadrature rule (`spectra.power_law`, `from_data`) is taken at its word, as a sum of atoms.

    Args:
        problem: one problem or a grid of them, with finite psi_n and psi_p.
        u: places on the real line, a number or an array. Its last axis is the trailing axis of the result; axes before
            it, if any, broadcast against the problem's, so that every problem may have places of its own.

    Returns:
        `SpectralDensity`, in NumPy float64 arrays: `density` of shape (..., places), `edges`, `masses` and `atoms` for
        each problem.

    Raises:
        ValueError: u not finite, or of a shape that does not fit; psi_n or psi_p infinite; a problem that JAX traces.

    Source: m = inf arXiv 2505.17638; any m and Sigma: docs/spectrum.

    Examples:
        >>> import numpy as np
        >>> from rfdsm import Problem, spectral_density
        >>> problem = Problem(psi_n=8, psi_p=64, m=np.inf, t=0.01, ridge=0)
        >>> spectrum = spectral_density(problem, u=np.geomspace(1e-3, 50, 300))
        >>> print(spectrum.edges.round(3).tolist())  # of its three bulks
        [[0.004, 0.01], [0.091, 0.359], [9.836, 44.693]]
    """
    check_problem(problem)
    if problem.traced:
        raise ValueError("problem must hold concrete numbers: spectral_density cannot be traced by JAX")
    for name in ("psi_n", "psi_p"):
        if np.any(np.isinf(getattr(problem, name))):
            raise ValueError(f"{name} = inf must be finite: there is no density in that limit")
    places = number_array("u", u, "finite")
    if not np.all(np.isfinite(places)):
        raise ValueError(f"u = {places[~np.isfinite(places)].flat[0]:g} must be finite")
    try:
        shape = np.broadcast_shapes(problem.shape, places.shape[:-1])
    except ValueError:
        raise ValueError(
            f"u has shape {places.shape}: axes before the last must broadcast against the problem's {problem.shape}"
        ) from None
    problems = cells(problem)
    found = support(problems)

    trailing = places.shape[-1:]
    values = np.broadcast_to(places, shape + trailing).reshape(-1, *trailing)
    own = np.arange(problems.size).reshape(problem.shape)
    index = np.repeat(np.broadcast_to(own, shape).ravel(), values[0].size if trailing else 1)
    density, cumulative, converged = density_at(problems, found, index, values.ravel() - problems.origin[index])
    full = shape + trailing
    return SpectralDensity(
        problem=problem,
        u=places,
        density=density.reshape(full),
        cumulative=cumulative.reshape(full),
        edges=(found.edges + problems.origin[:, None, None]).reshape(*problem.shape, *found.edges.shape[1:]),
        masses=found.masses.reshape(*problem.shape, found.masses.shape[1]),
        atoms=Atoms(*(values.reshape(*problem.shape, values.shape[1]) for values in found[2:])),
        converged=converged.reshape(full),
    )


def density_at(
    problems: Cells, found: Support, index: np.ndarray, v: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Density and fraction below at distances v from the origin of problem index[k], and convergence, (pairs,)."""
    inside, cumulative = np.zeros(v.size, bool), np.zeros(v.size)
    for (lower, upper), mass in zip(np.transpose(found.edges, (1, 2, 0)), found.masses.T, strict=True):
        inside |= (v > lower[index]) & (v < upper[index])
        cumulative += np.where(v >= upper[index], mass[index], 0)
    for location, mass in zip(found.atom_locations.T, found.atom_masses.T, strict=True):
        cumulative += np.where(v >= (location - problems.origin)[index], mass[index], 0)
    density, converged = np.zeros(v.size), np.ones(v.size, bool)
    points = evaluate_pairs(problems, index[inside], v[inside])
    density[inside], converged[inside] = points.density, points.converged
    cumulative[inside] = np.where(points.converged, points.below, np.nan)
    if found.edges.shape[1]:
        density[(v == 0) & (found.edges[index, 0, 0] == 0)] = np.inf
    return density, cumulative, converged


def quadrature(
    problems: Cells, edges: np.ndarray, masses: np.ndarray, atoms: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes and weights of all bulks (cells, bulks, 2), density included: problem, distance from the origin, weight."""
    cell, bulk = np.nonzero(masses > 0)
    low, high = edges[cell, bulk].T
    before = atoms[:, None] + np.cumsum(masses, axis=1) - masses
    count_low, count_high = before[cell, bulk], (before + masses)[cell, bulk]
    low = np.maximum(low, HARD_EDGE * high)
    wide = high > WIDE * low
    begin, span = np.where(wide, np.log(low), low), np.where(wide, np.log(high / low), high - low)

    def place(owner: np.ndarray, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """v and dv/dphi."""
        position = begin[owner] + span[owner] * np.sin(phi / 2) ** 2
        v = np.where(wide[owner], np.exp(np.where(wide[owner], position, 0)), position)
        return v, span[owner] * np.sin(phi) / 2 * np.where(wide[owner], v, 1)

    def counts(owner: np.ndarray, phi: np.ndarray) -> np.ndarray:
        """Fraction of eigenvalues below, known at the edges."""
        result = np.where(phi > 0, count_high[owner], count_low[owner])
        inner = (phi > 0) & (phi < np.pi)
        result[inner] = evaluate_pairs(problems, cell[owner[inner]], place(owner[inner], phi[inner])[0]).below
        return result

    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    owner: np.ndarray = np.repeat(np.arange(cell.size), PANELS)
    grid = np.linspace(0, np.pi, PANELS + 1)
    left, right = np.tile(grid[:-1], cell.size), np.tile(grid[1:], cell.size)
    at_left, at_right = counts(owner, left), counts(owner, right)
    # Rounding of a count grows with the number of draws counted against each other.
    per_n, per_p, q = (problems.parameters[name] for name in PARAMETERS[:3])
    draws = 1 / np.maximum(q, 1e-6) / per_n * per_p
    tolerance = PANEL_ERROR * masses[cell, bulk] + 1e-14 * (1 + draws[cell])
    done: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for refinement in range(REFINEMENTS + 1):
        phi = (left + right)[:, None] / 2 + (right - left)[:, None] / 2 * nodes
        v, jacobian = place(np.repeat(owner, NODES), phi.ravel())
        points = evaluate_pairs(problems, np.repeat(cell[owner], NODES), v)
        mass = (points.density * jacobian).reshape(phi.shape) * weights * (right - left)[:, None] / 2
        good = np.abs(mass.sum(axis=1) - (at_right - at_left)) <= tolerance[owner]
        good |= refinement == REFINEMENTS
        done.append((np.repeat(cell[owner[good]], NODES), v.reshape(phi.shape)[good].ravel(), mass[good].ravel()))
        owner, (left, right, at_left, at_right) = owner[~good], (x[~good] for x in (left, right, at_left, at_right))
        if not owner.size:
            break
        middle = (left + right) / 2
        at_middle = counts(owner, middle)
        owner = np.concatenate([owner, owner])
        left, right = np.concatenate([left, middle]), np.concatenate([middle, right])
        at_left, at_right = np.concatenate([at_left, at_middle]), np.concatenate([at_middle, at_right])
    index, v, weight = (np.concatenate(parts) for parts in zip(*done, strict=True))
    return index, v, weight


def _flat(values: np.ndarray, trailing: int) -> np.ndarray:
    """The problem's axes as one."""
    kept = values.shape[values.ndim - trailing :]
    return values.reshape(math.prod(values.shape[: values.ndim - trailing]), *kept)
