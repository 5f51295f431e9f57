"""Whether generated laws are nearer to the training points or to fresh ones, in d dimensions (docs/generation)."""

import jax
import numpy as np
from jaxtyping import Float

from rfdsm._arguments import base_key, check_whole
from rfdsm._hints import Count, KeyLike, Number
from rfdsm._machine import lapack_threads
from rfdsm._printing import Printed
from rfdsm._problem import Problem
from rfdsm._scope import jax_scope
from rfdsm._statistics import fraction_error
from rfdsm.sampling import Sampler, metrics
from rfdsm.theory._generation import generated_law


class GeneratedMemorisation(Printed):
    """Signs of the relative distance Delta of N(0, Lambda(S)), S of points that are drawn."""

    sign: Float[np.ndarray, "trials *grid"]  # noqa: F821
    """+1 where the law is nearer to fresh points than to the training points."""
    log_distance: Float[np.ndarray, "trials *grid"]  # noqa: F821
    """log |Delta| + (d/2) log(4 pi sigma^2)."""

    @property
    def probability(self) -> Float[np.ndarray, "*grid"]:
        """P(Delta > 0) over trials."""
        return np.asarray(np.mean(self.sign > 0, axis=0))

    @property
    def probability_error(self) -> Float[np.ndarray, "*grid"]:
        """Its standard error."""
        return fraction_error(self.sign > 0)


def generated_memorisation(
    problem: Problem,
    sampler: Sampler,
    d: Count,
    *,
    trials: Count = 100,
    key: KeyLike = 0,
    fresh: Count = 4096,
    start: Number | None = None,
) -> GeneratedMemorisation:
    """The relative distance of generated laws to training points and fresh points, by theory's Lambda(S).

    In trial k all cells share the fresh set, and points of smaller n are the first of those of larger ones; the law is
    exact but for deviations of order 1/d of Lambda. Memory 8 (fresh + 3 n) d bytes.

    Args:
        problem: one problem or a grid of them, with finite psi_n and n = round(psi_n d) >= 2.
        sampler, start: as in `generated_law`.
        d: dimension.
        trials: repetitions; trial k draws from fold_in(key, k).
        key: integer or JAX key.
        fresh: fresh points that stand for the data's law.

    Raises:
        ValueError: as `generated_law`; d too small.

    Source: definition arXiv 2411.17807; docs/generation, section 9.

    Examples:
        >>> from rfdsm import Problem, generated_memorisation, sampling
        >>> problem = Problem(psi_n=[0.5, 4], psi_p=2, m=4, t=1, ridge=0.03, target="data")
        >>> found = generated_memorisation(problem, sampling.ddim([2, 1, 0.5, 0.1]), d=16, trials=8)
        >>> found.sign.shape, bool(found.probability[0] < found.probability[1])
        ((8, 2), True)
    """
    d, trials, fresh = check_whole("d", d, 1), check_whole("trials", trials, 1), check_whole("fresh", fresh, 2)
    base = base_key(key)
    law = generated_law(problem, sampler, start=start)
    shape = law.shape
    psi_n = np.broadcast_to(problem.psi_n, shape).ravel()
    if not np.all(np.isfinite(psi_n)) or np.any(np.round(psi_n * d) < 2):
        raise ValueError(f"psi_n d = {float(np.min(psi_n)) * d:g} must be finite and at least 2 points in d = {d}")
    sizes, order = np.unique(np.round(psi_n * d).astype(int), return_inverse=True)
    deviations = np.sqrt(problem.spectrum.realise(d)[0])
    sigma = float(np.sqrt(np.mean(deviations**2)))
    most = int(sizes[-1])
    found = np.empty((2, trials, order.size))
    for k in range(trials):
        with jax_scope():
            draws = np.asarray(jax.random.normal(jax.random.fold_in(base, k), (most + fresh, d)))
        points, new = deviations * draws[:most], deviations * draws[most:]
        with lapack_threads():
            bases = [np.linalg.eigh(points[:n].T @ points[:n] / n) for n in sizes]
        places = np.concatenate([np.maximum(values, 0.0) for values, _ in bases])
        variances = law.variance_at(places).reshape(order.size, sizes.size, d)
        for cell, own in enumerate(order):
            vectors = bases[own][1]
            covariance = (vectors * variances[cell, own]) @ vectors.T
            distance = metrics.relative_distance((np.zeros(d), covariance), points[: sizes[own]], new, sigma=sigma)
            found[:, k, cell] = distance.sign, distance.log_distance
    return GeneratedMemorisation(*found.reshape(2, trials, *shape))
