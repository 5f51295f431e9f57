"""The law of generated samples: `generated_law` (docs/generation)."""

import math
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rfdsm._arguments import number_array
from rfdsm._arrays import module_of
from rfdsm._batches import filled, in_chunks
from rfdsm._executables import jitted
from rfdsm._hints import Number, Numbers
from rfdsm._printing import Printed
from rfdsm._problem import FIELDS, Problem, in_double
from rfdsm._scope import jax_scope
from rfdsm._values import is_traced, one_line
from rfdsm.activations import Activation
from rfdsm.activations._kept import kept
from rfdsm.activations._quadrature import padded
from rfdsm.sampling import Sampler
from rfdsm.sampling._chain import at_levels, first_variance
from rfdsm.theory._fixed_point import solve
from rfdsm.theory._generated_equations import TOLERANCE, Chain, Level, Ratios, follow
from rfdsm.theory._generated_overlap import bhattacharyya as overlap
from rfdsm.theory._generated_targets import Target, given_spectrum, spectra_of
from rfdsm.theory._populations import all_moments, populations
from rfdsm.theory._sample_covariance import SampleSpectrum, isotropic_spectrum, sample_density

BATCH, STEPS, NODES, PLACES = 8, 8, isotropic_spectrum(1.0)[0].size, 64
"""Few executables serve all: laws computed in one call; what numbers of steps are rounded up to; nodes, those of
isotropic data, and places elsewhere at least."""
DENSITY_POINTS = 400


class Question(NamedTuple):
    """One cell: its chain, and the laws of the data and of what the sampler should reach."""

    chain: Chain
    data: Target
    end: Target


class Density(NamedTuple):
    """Spectrum of the generated covariance Lambda(S)."""

    variance: Float[np.ndarray, "*grid points"]
    """Eigenvalues, in the order of those of S, ascending within every bulk."""
    density: Float[np.ndarray, "*grid points"]
    edges: Float[np.ndarray, "*grid bulks 2"]
    """Images of the edges of S."""
    atom: Any
    """Where the null directions of S end, and the mass there."""
    mass: Any


class GeneratedLaw(Printed):
    """N(0, Lambda(S)), S the sample covariance, and its distances to the data's law N(0, Sigma).

    Arrays of the problem's shape, written ...; distances are per dimension. N values for the nodes of the quadrature
    over S's eigenvalues, K steps. A pytree: laws pass through jit, vmap and grad.
    """

    nodes: Float[Any, "... N"]
    """Eigenvalues of S."""
    weights: Float[Any, "... N"]
    variance: Float[Any, "... N"]
    """Of the samples along the eigenvectors: Lambda."""
    path: Float[Any, "steps ... N"]
    """The same after every step."""
    kl: Any
    """KL(generated || target)/d."""
    reverse_kl: Any
    """KL(target || generated)/d."""
    kl_at_end: Any
    """Of the target N(0, a^2 Sigma + h), the data's law at the sampler's last level."""
    reverse_kl_at_end: Any
    """The same the other way round."""
    logdet: Any
    """(1/d) log det of the generated covariance."""
    trace: Any
    """Its trace per dimension, the mean squared norm of samples."""
    converged: Any
    """Whether every level was solved, and no variance overflowed; where not, values are NaN."""
    residual: Any
    isotropic_overlap: Any = eqx.field(repr=False)
    """`bhattacharyya` where the data are isotropic, else NaN."""
    asked: Any = eqx.field(repr=False)
    """What it follows from, cells first."""
    problem: Problem = eqx.field(repr=False)
    activation: Activation = eqx.field(static=True, repr=False)
    given: bool = eqx.field(static=True, repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the problem."""
        return np.shape(self.kl)

    @property
    def bhattacharyya(self) -> Any:
        """-(1/d) log of the overlap of square roots of generated and data's densities.

        Any data: computed when asked for, some 20 ms a law, and of concrete laws only where data are not isotropic.
        NaN for eigenvalues of one's own and data that are not isotropic: it takes the eigenvectors.
        """
        law = self.problem.spectrum
        if law.size == 1 or self.given:
            return self.isotropic_overlap
        if is_traced((self.kl, law.nodes)):
            raise ValueError("bhattacharyya is that of concrete laws where data are not isotropic; traced ones have kl")
        size = int(np.prod(self.shape))
        psi_n = np.broadcast_to(self.problem.psi_n, self.shape).ravel()
        rows = (np.reshape(x, (size, -1)) for x in (self.nodes, self.weights, self.variance))
        found = overlap(psi_n, np.asarray(law.nodes), np.asarray(law.weights), *rows).reshape(self.shape)
        return np.where(self.converged, found, np.nan)[()]

    def variance_at(self, x: Any) -> Any:
        """Lambda at other eigenvalues x >= 0 of S, a list of them: shape (*shape, points)."""
        places = x if is_traced(x) else np.atleast_1d(number_array("x", x, "eigenvalues >= 0"))
        if not is_traced(places) and (places.ndim > 1 or not np.all(np.isfinite(places) & (places >= 0))):
            raise ValueError(f"x = {one_line(x)} must be a list of finite eigenvalues >= 0")
        return self._elsewhere(places, _lambda)

    def density(self, points: Any = DENSITY_POINTS) -> Density:
        """Spectrum of the generated covariance, at `points` places in every bulk; of one concrete law."""
        if self.shape or is_traced(self.kl) or self.given:
            raise ValueError("density is that of one concrete law of the limiting S: one problem, without `given`")
        law = self.problem.spectrum
        x, heights, edges, rank = sample_density(float(self.problem.psi_n), law.nodes, law.weights, points)
        # All at once: every number of places is code of its own.
        variance, slope = self._elsewhere(np.concatenate([x, edges.ravel(), [0.0]]), _lambda_and_slope)
        images = np.sort(variance[x.size : -1].reshape(-1, 2), axis=1)
        atom = float(variance[-1]) if rank < 1 else np.nan
        return Density(variance[: x.size], heights / np.abs(slope[: x.size]), images, atom, 1 - rank)

    def _elsewhere(self, places: Any, function: Any) -> Any:
        """Arrays (*shape, points) of what the function says of places without a weight."""
        mapped, chain, count = _mapped(self.activation, function, (0, None)), self.asked.chain, np.shape(places)[0]
        with jax_scope():
            if is_traced((chain, places)):
                found = mapped(chain, jnp.asarray(places, float))
            else:
                wide = padded(np.resize(places, max(count, PLACES)))
                cells = len(chain.nodes)
                found = in_chunks(
                    lambda x: mapped(x, wide), lambda at: jax.tree.map(lambda x: x[at], chain), cells, BATCH
                )
        return jax.tree.map(lambda values: values[:, :count].reshape((*self.shape, count)), found)


def generated_law(
    problem: Problem,
    sampler: Sampler,
    *,
    start: Number | None = None,
    given: Numbers | None = None,
    ridges: Numbers | None = None,
) -> GeneratedLaw:
    """The law of samples that networks of this problem generate, one network for each level, trained on the same data.

    Differentiable like `predict`, inside jax.jit, vmap and grad, by fields, ridges, start, spectrum and parameters of
    schedule and target. Traced spectra, and psi_n traced for data that are not isotropic, have their quadrature from a
    callback: 1e-6 accurate where Sigma has tens of eigenvalues.

    Memory: results, 8 (K + 8) N bytes a problem, N = 337 nodes for isotropic data; some megabytes per core.

    Args:
        problem: one problem or a grid of them, with ridge > 0; t is not used.
        sampler: from `rfdsm.sampling`, with the levels.
        start: variance of the samples at the first level; default that of pure noise, 1, or h at the first level where
            noise grows without bound.
        given: eigenvalues of a sample covariance of one's own, with the zeros; default their limiting law. Distances
            are then known for isotropic data only, and NaN for others.
        ridges: one for each level, shape (K,) or (K, *problem.shape), in place of the problem's.

    Returns:
        `GeneratedLaw`. A level that cannot be solved, or variances that overflow: converged = False, and NaN.

    Raises:
        ValueError: ridge = 0, psi_p = inf, times that the schedule has not, negative eigenvalues.

    Source: docs/generation (this project's own).

    Examples:
        >>> from rfdsm import Problem, generated_law, sampling
        >>> sampler = sampling.ddim(sampling.geometric(3, 0.05, steps=8))
        >>> law = generated_law(Problem(psi_n=4, psi_p=[1, 2], m=4, t=1, ridge=0.03, target="data"), sampler)
        >>> law.trace.round(3), law.kl.round(3)
        (array([0.532, 0.735]), array([0.137, 0.076]))
        >>> law.variance_at([0.5, 1, 2]).round(3)[1]
        array([0.399, 0.732, 1.414])
    """
    chain = at_levels(problem, sampler, ridges)
    shape, dtype = chain.shape[1:], jnp.result_type(float)
    if not is_traced(chain.psi_p) and np.any(np.isinf(chain.psi_p)):
        raise ValueError("psi_p = inf must be finite: take it large, with the ridge in proportion")
    own = None if given is None else given_spectrum(given)
    with jax_scope():
        chain = in_double(chain)
        asked = question(chain, sampler, first_variance(chain, sampler, start), own)
        count = asked.chain.nodes.shape[-1]
        if chain.traced:
            found = jax.vmap(partial(_measured, problem.activation))(asked)
        else:
            # A batch on every core; batches are filled up, so that one executable serves all grids.
            asked = _widened(asked)
            batch, size = _mapped(problem.activation, _measured), len(asked.chain.nodes)
            found = in_chunks(batch, lambda cells: jax.tree.map(lambda x: x[cells], asked), size, BATCH)

        def finished(values: Any, axes: int = 0) -> Any:
            values = values.reshape((*shape, *values.shape[values.ndim - axes :]))
            return values.astype(dtype) if is_traced(values) and values.dtype == float else values

        path = module_of(found["path"]).moveaxis(found["path"][:, : sampler.size, :count], 1, 0)
        values = {name: finished(value) for name, value in found.items() if name != "path"}
        return GeneratedLaw(
            nodes=finished(asked.chain.nodes[:, :count], 1),
            weights=finished(asked.chain.weights[:, :count], 1),
            variance=finished(path[-1], 1),
            path=path.reshape((sampler.size, *shape, path.shape[-1])),
            **values,
            asked=asked,
            problem=problem,
            activation=problem.activation,
            given=given is not None,
        )


def one_chain(problem: Problem, sampler: Sampler, ridges: Any = None) -> Problem:
    """One problem at every level of the sampler. ValueError for a grid."""
    chain = at_levels(problem, sampler, ridges)
    if chain.shape != (sampler.size,):
        raise ValueError(f"problem has shape {chain.shape[1:]}, must be one problem")
    return chain


def question(chain: Problem, sampler: Sampler, first: Any, own: SampleSpectrum | None) -> Question:
    """All cells, along a first axis."""
    law, K = chain.spectrum, sampler.size
    size, more = math.prod(chain.shape[1:]), -K % STEPS

    def flat(values: Any, fill: float | None = None) -> Any:  # (cells, K and steps that do nothing)
        xp = module_of(values)
        values = xp.broadcast_to(values, chain.shape).reshape(K, size).T
        rest = values[:, -1:] if fill is None else xp.full((size, 1), fill)
        return xp.concatenate([values, xp.repeat(rest, more, axis=1)], axis=1)

    found = chain.asked
    moments = all_moments(chain)
    steps = sampler.steps(chain.schedule, chain.target, law.mean)
    of_step = (flat(x.reshape(np.shape(found.a)), fill) for x, fill in zip(steps, (1.0, 0.0, 0.0), strict=True))
    of_network = map(flat, (found.a, found.h, found.alpha, found.beta, chain.ridge, *moments))
    levels = Level(*of_network, *of_step)
    psi_n, psi_p, m = (flat(getattr(chain, name))[:, 0] for name in ("psi_n", "psi_p", "m"))
    starts = _starts(chain, moments)
    starts = module_of(*starts).stack([flat(value) for value in starts], -1)
    a, h = sampler.last_level(chain.schedule, law.mean)
    nodes, weights, spare, data, end = spectra_of(psi_n, chain, own, [law.nodes, a**2 * law.nodes + h])
    ratios = Ratios(1 / psi_n, psi_p, 1 / m, spare)
    return Question(Chain(levels, starts, ratios, nodes, weights, module_of(first).full(size, first, float)), data, end)


def _widened(asked: Question) -> Question:
    """With nodes that weigh nothing, so that spectra of any size share an executable."""
    more = ((0, 0), (0, max(NODES - asked.chain.nodes.shape[1], 0)))
    chain = asked.chain._replace(
        nodes=np.pad(asked.chain.nodes, more, "edge"), weights=np.pad(asked.chain.weights, more)
    )
    laws = (x._replace(inverse=np.pad(x.inverse, more), forward=np.pad(x.forward, more)) for x in asked[1:])
    return Question(chain, *laws)


def _measured(activation: Activation, asked: Question) -> dict[str, Any]:
    """Of one cell: the path and all values that follow."""
    path, residuals = follow(activation, asked.chain)
    worst = jnp.max(jnp.where(jnp.isnan(residuals), jnp.inf, residuals))
    converged = (worst <= TOLERANCE) & jnp.all(jnp.isfinite(path))
    values = distances(path[-1], asked.chain.weights, {"": asked.data, "_at_end": asked.end})
    values = {name: jnp.where(converged, value, jnp.nan) for name, value in values.items()}
    return values | {"path": path, "residual": worst, "converged": converged}


def distances(variance: Any, weights: Any, targets: dict[str, Target]) -> dict[str, Any]:
    """Per dimension, of N(0, Lambda(S)) to each target, whose name ends that of the divergences."""

    def average(values: Any) -> Any:
        return jnp.sum(jnp.where(weights > 0, weights * values, 0.0))

    logdet = average(jnp.log(variance))
    values = {"trace": average(variance), "logdet": logdet}
    for ending, target in targets.items():
        difference = logdet - target.logdet
        forward = jnp.sum(target.inverse * variance) - 1 - difference
        reverse = jnp.sum(target.forward / jnp.where(variance > 0, variance, jnp.inf)) - 1 + difference
        values["kl" + ending] = jnp.where(target.singular, jnp.inf, forward / 2)
        values["reverse_kl" + ending] = jnp.where(target.singular, jnp.inf, reverse / 2)
    T = targets[""].variance
    values["isotropic_overlap"] = average(jnp.log((variance + T) / 2)) / 2 - (logdet + jnp.log(T)) / 4
    return values


@kept(maxsize=16)
def _mapped(activation: Activation, function: Any, in_axes: Any = 0) -> Any:
    """`function` of all cells, compiled."""
    return jitted(jax.vmap(partial(function, activation), in_axes=in_axes))


def _lambda(activation: Activation, chain: Chain, x: Any) -> Any:
    """Lambda: they are nodes without a weight."""
    nodes = jnp.concatenate([chain.nodes, x])
    weights = jnp.concatenate([chain.weights, jnp.zeros_like(x)])
    return follow(activation, chain._replace(nodes=nodes, weights=weights))[0][-1, chain.nodes.size :]


def _lambda_and_slope(activation: Activation, chain: Chain, x: Any) -> tuple[Any, Any]:
    """The same, and its derivative."""
    return jax.jvp(lambda x: _lambda(activation, chain, x), (x,), (jnp.ones_like(x),))


def _starts(chain: Problem, moments: Any) -> Any:
    """The unknowns in the mean over the data, of the shape of the chain, from the order parameters of the losses."""
    law = chain.spectrum
    psi_n, psi_p, m, _, ridge = (getattr(chain, name) for name in FIELDS)
    values = (1 / psi_n, 1 / psi_p, 1 / m, chain.asked, moments, ridge / psi_p)
    shaped = jax.tree.map(lambda x: module_of(x).broadcast_to(x, chain.shape), values)
    if chain.traced:
        return order_parameters(*shaped, law.nodes, law.weights)
    count = math.prod(chain.shape)
    flat = jax.tree.map(lambda x: padded(filled(np.ravel(x), max(count, PLACES))), shaped)
    found = order_parameters(*flat, law.nodes, law.weights)
    return tuple(np.asarray(value)[:count].reshape(chain.shape) for value in found)


@jitted
def order_parameters(
    inverse_psi_n: Any, inverse_psi_p: Any, q: Any, asked: Any, moments: Any, ridge: Any, nodes: Any, weights: Any
) -> tuple[Any, Any, Any, Any]:
    """(delta, kappa, e_a, psi_p g) averaged over the data, of cells as `populations` takes them."""
    nodes, weights = jnp.asarray(nodes, float), jnp.asarray(weights, float)
    P, _ = populations(inverse_psi_n, inverse_psi_p, q, asked, ridge, moments, nodes, weights)
    E_s, F, G = solve(P, peaks=False)[:3]  # next to p = nm: not quite the solution, which will do for a start
    E_s, F, X = (value / P.unit for value in (E_s, F, G))
    delta = P.inverse_psi_n * (P.q * F + P.beta_psi * X)
    return delta, 1 / (1 + P.inverse_psi_n * E_s), P.inverse_psi_n * P.q * F, X
