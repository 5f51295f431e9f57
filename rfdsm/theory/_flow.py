"""Losses of gradient flow as quadratic forms of its filters on a contour (docs/training, sections 1-4).

The network at time theta is B = -V^T f(U) + B_0 e(U), e(u) = exp(-(u + lambda) theta), f = (1 - e)/(u + lambda), from
a start B_0 with entries of variance h v/p. With the nodes z_k and weights W_k of `contour`,

    train          = (1 - u f)^2 [-J*/z] + h v (u e^2) [g]
    empirical_test = T_t - 2 f [lin] + f f [transfer] + h v e e [gain],      and the same for test,
    lin of test = L <N N_t/(1 + w)>,  lin of empirical_test = memory T_psi + L <N (N_t - memory N_psi)/(1 + w)>,

where f [Q] = 2 Re sum_k W_k f(z_k) Q(z_k), and f f [Q] = 2 Re (a^T Q(z, z') a + a^T Q(z, z'*) a*), a_k = W_k f(z_k),
is a real quadratic form in (Re a, Im a). Everything that does not know the time is computed once per problem: a `Path`.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rfdsm.theory._populations import Populations
from rfdsm.theory._resolvent import MAX_STEPS, track
from rfdsm.theory._two_point import Pair, Points, fresh_noise_probe, one_point, population_probe, two_point

PASSED = 4.0
"""Exponent ridge * theta from which a contour passes to the right of u = -ridge."""
SAFETY = 100.0
"""What the estimated error is multiplied by."""
LEAST = 1e-11
"""Least error of a trapezoidal sum, relative to its terms: the estimate may vanish by chance."""


class Path(NamedTuple):
    """One problem on its contour of N nodes; batches have leading axes."""

    nodes: Any  # z, (N,)
    rate: Any  # z + ridge
    weights: Any
    points: Points
    population: Pair  # real quadratic forms, (2N, 2N)
    fresh: Pair
    initial: Any  # h variance of the start's entries; None for a start at zero, and no gains then
    to_population: Any  # lin of test and of empirical_test at the nodes
    to_fresh: Any
    null: Any  # T_t, the loss of a network that outputs zero
    floor: Any
    excess: Any  # null - floor
    score_unit: Any  # score error per excess of test over the floor
    found: Any  # whether every node was solved for


class Curve(NamedTuple):
    """Values at the times, with estimates of their errors."""

    value: Any
    error: Any


class Curves(NamedTuple):
    """All losses of one problem, arrays (times,)."""

    train: Curve
    empirical_test: Curve
    test: Curve
    score: Curve
    penalty: Curve  # |B|^2/d


def margin(ridge: Any, latest: Any) -> Any:
    """How far left of the spectrum filters of times up to `latest` stay moderate (NumPy).

    Where e has not decayed at an eigenvalue 0, that is to -(ridge + 1/latest): f grows beyond. Where it has, f is
    as good as 1/(u + ridge), and to go around its pole costs nothing.
    """
    return np.where(ridge * latest > PASSED, ridge / 2, ridge + 1 / latest)


def path(P: Populations, ridge: Any, margin: Any, extent: Any, initial: Any, nodes: Any, weights: Any) -> Path:
    """Everything about one problem that does not depend on time.

    Args:
        P: parameters, scalars; nodes and weights of Sigma's spectrum (S,).
        ridge: lambda.
        margin: distance of the spectrum from the half plane that the contour avoids, from `margin`.
        extent: bound on the eigenvalues of U.
        initial: h times the variance of the initial entries of A, None for zero.
        nodes, weights: of `contour.contour`, for a ratio of at least 1 + extent/margin.
    """
    column = (-1, 1)
    P = P._replace(nodes=jnp.reshape(P.nodes, column), weights=jnp.reshape(P.weights, column))
    scale, shift = (jnp.asarray(value, nodes.dtype) for value in (extent + margin, margin))
    z = scale * nodes - shift
    y, found = track(z, P, MAX_STEPS)
    C = P.like(z)
    points = one_point(y, C)
    mirrored: Points = jax.tree.map(jnp.conj, points)
    forms = (
        two_point(points, other, C, (population_probe(C), fresh_noise_probe(points, other, C)))
        for other in (points, mirrored)
    )
    population, fresh = (
        Pair(_real_form(a.transfer, b.transfer), None if initial is None else _real_form(a.gain, b.gain))
        for a, b in zip(*forms, strict=True)
    )
    known, known_s = points.known
    to_population = C.L * (C.alpha * C.a * known_s + C.beta * C.root_h * known)
    to_fresh = to_population + points.memory * C.alpha * (C.alpha * C.average(C.nodes) - C.L * C.a * known_s)
    s, signal, noise = jnp.ravel(P.nodes), P.alpha * P.a, P.beta * P.root_h
    share = jnp.ravel(P.weights) / (P.a_squared * s + P.h)
    return Path(
        z,
        scale * nodes + jnp.asarray(ridge - margin, nodes.dtype),
        scale * weights,
        points,
        population,
        fresh,
        initial,
        to_population,
        to_fresh,
        P.alpha**2 * jnp.sum(P.average(P.nodes)) + P.beta**2,
        (P.alpha * P.root_h - P.beta * P.a) ** 2 * jnp.sum(share * s),
        jnp.sum(share * (signal * s + noise) ** 2),
        P.score_unit,
        jnp.all(found),
    )


def _real_form(same: Any, crossed: Any) -> Any:
    """Matrix of Re(a^T same a + a^T crossed a*) in (Re a, Im a); same is symmetric, crossed Hermitian."""
    upper = jnp.concatenate([same.real + crossed.real, crossed.imag - same.imag], axis=1)
    lower = jnp.concatenate([-same.imag - crossed.imag, crossed.real - same.real], axis=1)
    return jnp.concatenate([upper, lower], axis=0)


def filters(path: Path, times: Any) -> tuple[Any, Any]:
    """e and f of gradient flow at the times (T,) and the nodes, arrays (T, N)."""
    exponent = path.rate * jnp.asarray(times, path.rate.dtype)[:, None]
    return jnp.exp(-exponent), -jnp.expm1(-exponent) / path.rate


class _Term(NamedTuple):
    """A sum over the nodes at the times, with the size of its terms, and the error of half the nodes relative to it."""

    value: Any
    size: Any
    half: Any


def _linear(weighted: Any, values: Any) -> _Term:
    """2 Re sum_k of weighted (T, N) times values (N,)."""
    return _summed(2 * weighted * values, 2 * jnp.abs(weighted) @ jnp.abs(values))


def _quadratic(a: Any, form: Any) -> _Term:
    """Twice the real form of the filters a (T, N)."""
    x = jnp.concatenate([a.real, a.imag], axis=1)
    re, im = jnp.split(x @ form, 2, axis=1)
    size = jnp.sum(jnp.abs(x) * (jnp.abs(x) @ jnp.abs(form)), axis=1)
    return _summed(2 * a * jax.lax.complex(re, -im), 2 * size)


def _summed(terms: Any, size: Any) -> _Term:
    """Real part of the sum of terms (T, N).

    Half of the nodes, every second one around the whole curve, would give the same real part, but as their error to
    leading order the imaginary part of the difference below.
    """
    half = jnp.abs(jnp.sum(terms[:, ::2].imag, axis=1) - jnp.sum(terms[:, 1::2].imag, axis=1))
    return _Term(jnp.sum(terms.real, axis=1), size, half / jnp.where(size > 0, size, 1))


def curves(path: Path, times: Any) -> Curves:
    """Losses at the times (T,), finite.

    Errors decay geometrically with the number of nodes: relative to the terms, that of all nodes is the square of that
    of half of them. The largest of several sums counts for all: in one, the leading parts may cancel by chance.
    """
    e, f = filters(path, times)
    z, f_weighted, e_weighted = path.nodes, f * path.weights, e * path.weights
    explained, gain = path.points.explained, path.points.gain
    unfitted = 1 - z * f
    train = _linear(unfitted * unfitted * path.weights / -z, jnp.asarray(path.null, explained.dtype) - explained)
    norm = _linear(f * f_weighted, explained)
    to_population, to_fresh = (_linear(f_weighted, values) for values in (path.to_population, path.to_fresh))
    population, fresh = (_quadratic(f_weighted, pair.transfer) for pair in (path.population, path.fresh))
    worst = functools.reduce(jnp.maximum, (term.half for term in (to_population, to_fresh, population, fresh)))

    def total(constant: Any, *terms: tuple[Any, _Term]) -> Curve:
        """constant + sum of factor * term; errors add."""

        def error(term: _Term) -> Any:
            return SAFETY * jnp.maximum(worst, term.half) ** 2 + LEAST

        errors = (jnp.abs(factor) * term.size * error(term) for factor, term in terms)
        return Curve(constant + sum(factor * term.value for factor, term in terms), sum(errors))

    def from_start(factor: Any, term: Callable[[], _Term]) -> list[tuple[Any, _Term]]:
        return [] if path.initial is None else [(factor * path.initial, term())]

    def loss(constant: Any, cross: _Term, own: _Term, pair: Pair) -> Curve:
        terms = [(-2.0, cross), (1.0, own)]
        return total(constant, *terms, *from_start(1.0, lambda: _quadratic(e_weighted, pair.gain)))

    excess = loss(path.excess, to_population, population, path.population)
    return Curves(
        train=total(0.0, (1.0, train), *from_start(1.0, lambda: _linear(z * e * e_weighted, gain))),
        empirical_test=loss(path.null, to_fresh, fresh, path.fresh),
        test=Curve(path.floor + excess.value, excess.error),
        score=Curve(path.score_unit * excess.value, path.score_unit * excess.error),
        penalty=total(0.0, (1.0, norm), *from_start(1.0, lambda: _linear(e * e_weighted, gain))),
    )


class Slopes(NamedTuple):
    """Derivatives of losses by time, arrays (times,)."""

    empirical_test: Any
    test: Any
    score: Any


def slopes(path: Path, times: Any) -> Slopes:
    """d/dtheta at the times (T,), finite: the filters' derivatives are df = e, de = -(u + lambda) e."""
    e, f = filters(path, times)
    f_weighted, e_weighted = f * path.weights, e * path.weights
    decay = -path.rate * e_weighted

    def bilinear(a: Any, form: Any, b: Any) -> Any:
        x, y = (jnp.concatenate([values.real, values.imag], axis=1) for values in (a, b))
        return 2 * jnp.sum((x @ form) * y, axis=1)

    def slope(cross: Any, pair: Pair) -> Any:
        own = -4 * jnp.real(e_weighted @ cross) + 2 * bilinear(f_weighted, pair.transfer, e_weighted)
        if path.initial is None:
            return own
        return own + 2 * path.initial * bilinear(e_weighted, pair.gain, decay)

    test = slope(path.to_population, path.population)
    return Slopes(slope(path.to_fresh, path.fresh), test, path.score_unit * test)
