"""The reduced equations behind the limits of the theory, and what their losses need (docs/limits).

One Gaussian population leaves one scalar equation; infinitely many features leave two. Both are solved for all cells at
once by Newton's method from a side on which it is monotone. NumPy, and nothing in common with the solver of `predict`
but the moments of the activation.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from rfdsm._arguments import Range, field, number_array
from rfdsm._problem import Problem
from rfdsm._scope import jax_scope
from rfdsm.activations import Moments
from rfdsm.theory._populations import COINCIDENCE, LINEAR, all_moments

MAX_STEPS = 300
TINY = 1e-300


class Fields:
    """A problem's numbers, all of its shape; the spectrum on an axis in front."""

    def __init__(self, problem: Problem, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.psi_n, self.psi_p, self.m, t, self.ridge = problem.broadcast(shape=shape)
        column = (-1, *[1] * len(shape))
        self.s, self.weights = problem.spectrum.nodes.reshape(column), problem.spectrum.weights.reshape(column)
        asked = problem.asked_at(t)
        self.a, self.h, self.scale, self.alpha, self.beta = asked
        self.root_h, self.delta = asked.root_h, asked.delta
        self.q, self.signal = 1 / self.m, self.a**2
        # Covariance of target and noisy data along each eigendirection, and variance of the noisy data.
        self.best = self.alpha * self.a * self.s + self.beta * self.root_h
        self.total = self.signal * self.s + self.h
        with np.errstate(all="ignore"):  # noise at late times may exceed what these can hold
            self.floor = self.delta**2 * self.average(self.s / self.total)  # loss of the true score
            self.score_unit = asked.score_unit
        self.null = problem.asked.null(problem.spectrum.mean)

    def average(self, values: Any) -> Any:
        """Average of values (S, ...) over the spectrum of Sigma."""
        return np.sum(self.weights * values, axis=0)


def fields_of(problem: Any, *finite: str, shape: tuple[int, ...] = ()) -> Fields:
    """The problem's numbers, broadcast with `shape`.

    ValueError unless it is a concrete Problem in which the named fields are finite.
    """
    if not isinstance(problem, Problem):
        raise ValueError(f"problem = {problem!r} must be an rfdsm.Problem")
    if problem.traced:
        raise ValueError("problem is traced, must be concrete: inside jax.jit, grad or vmap use predict at psi_n = inf")
    for name in finite:
        if np.any(np.isinf(getattr(problem, name))):
            raise ValueError(f"{name} = inf must be finite: the limit is taken at fixed {name}")
    return Fields(problem, np.broadcast_shapes(problem.shape, shape))


def moments(problem: Problem) -> tuple[Any, Any, Any]:
    """mu1^2, v0^2 and beta_a at the problem's times, of the shape of t."""
    return _without_rounding(*all_moments(problem), noise=problem.asked.h)


def moments_of(problem: Problem, shared: Any, private: Any) -> tuple[Any, Any, Any]:
    """The same for given variances, arrays of one shape."""
    with jax_scope():
        problem.activation.check(np.ravel(shared), np.ravel(private))
        found: Moments = problem.activation.moments(jnp.asarray(shared), jnp.asarray(private))
    return _without_rounding(*(np.asarray(values) for values in found), noise=np.asarray(shared + private))


def _without_rounding(mu1: Any, v0_squared: Any, beta_a: Any, noise: Any) -> tuple[Any, Any, Any]:
    linear = v0_squared + beta_a <= LINEAR * mu1**2 * noise
    return mu1**2, np.where(linear, 0, v0_squared), np.where(linear, 0, beta_a)


# --- one Gaussian population -----------------------------------------------------------------------------------------


class Regression(NamedTuple):
    """Ridge regression on N = psi d samples of features with covariance W D W^T/d + beta I, p = psi_p d of them."""

    x: Any  # 1/(psi_p g c): the ridge that D feels
    c: Any  # 1/(1 + e), the part of the residual that is not fitted
    kappa: Any  # response of c to the population loss, so that test = (1 + kappa) * (what is not learned) + ...
    feature: Any  # (P/den) of the response of g, in units of what it multiplies
    singular: Any


def one_population(samples: Any, psi_p: Any, ridge: Any, D: Any, beta: Any, average: Any) -> Regression:
    """Solve ridge y = (1 - k(y)/N) (psi_p - k(y)), k(y) = beta y + <y D/(1 + y D)> the degrees of freedom, 1/y = x.

    The right-hand side is a product of positive, decreasing, convex functions of y, so that Newton's method started
    at too small a y increases to the solution. Too small is the root for the average of D, of which k is concave, and
    for (1 + psi_p/N) k instead of the product of the two: a quadratic, exact for N = inf and equal eigenvalues.
    """
    nu = 1 / np.asarray(samples, float)
    excess = 1 - nu * psi_p
    excess = np.where(np.abs(excess) <= COINCIDENCE, 0, excess)
    mean, both = average(D), 1 + nu * psi_p
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        slope = ridge + both * beta  # slope y + both mean y/(1 + mean y) = psi_p
        middle = slope + (both - psi_p) * mean
        root = np.sqrt(middle**2 + 4 * slope * mean * psi_p)
        y = np.where(middle > 0, 2 * psi_p / (middle + root), (root - middle) / (2 * slope * mean))
        # Without ridge and nonlinearity k cannot exceed the rank of D: all of it is learned, y = inf.
        rank = average(np.where(D > 0, 1.0, 0.0))
        unbounded = (slope == 0) & (np.minimum(psi_p, 1 / nu) >= rank)
        active = ~unbounded
        y = np.where(np.isfinite(y), y, psi_p / (slope + both * mean))
        for _ in range(MAX_STEPS):
            share = 1 / (1 + y * D)
            k, rise = beta * y + average(y * D * share), beta + average(D * share**2)
            step = ((1 - nu * k) * (psi_p - k) - ridge * y) / (ridge + rise * ((1 - nu * k) + nu * (psi_p - k)))
            active = active & (step > 2e-16 * y)
            if not np.any(active):
                break
            y = np.where(active, y + step, y)
        x = np.where(unbounded, 0, 1 / y)
        lost = np.where(D > 0, D / (x + D), 0.0)  # w/(1 + w)
        k2 = average(lost**2)
        k1 = np.maximum(np.where(beta > 0, beta / x, 0) + average(x * (lost / np.where(D > 0, x + D, 1))), TINY)
        k = k1 + k2
        # (1 - k/N)(psi_p - k) = ridge y without the differences
        pull = np.where(ridge > 0, ridge / x, 0)
        root = np.sqrt(excess**2 + 4 * nu * pull)
        spare = np.where(excess >= 0, 2 * pull / np.maximum(excess + root, TINY), 0)  # psi_p - k
        c = np.where(excess >= 0, excess + nu * spare, 2 * nu * pull / (root - excess))
        spare = np.where(excess >= 0, spare, (c - excess) / nu)
        # Where all is learned neither equation holds with equality.
        c, spare = np.where(unbounded, 1 - nu * k2, c), np.where(unbounded, psi_p - k2, spare)
        c = np.where(np.abs(c) <= COINCIDENCE * unbounded, 0, c)
        den = c * k * (spare + k1) + (1 - c) * k1 * spare
        kappa, feature = (1 - c) * (k1 * k + k2 * spare) / den, k1 * k / den
    singular = (ridge == 0) & (c == 0) & ((spare == 0) | unbounded)
    return Regression(x, c, kappa, feature, singular)


# --- infinitely many features ----------------------------------------------------------------------------------------

Pair = tuple[Any, Any]


class Kernel(NamedTuple):
    """Regression with infinitely many features: psi_p g = 1/ridge, and e_s, f = e_a/q remain (docs/limits, section 2).

    unit * ridge = lambda/psi_p as in the equations of `predict`: either factor may vanish.
    """

    psi_n: Any
    q: Any
    unit: Any
    ridge: Any
    D_psi: Any
    D_a: Any
    beta_psi: Any
    beta_a: Any
    average: Any

    def solve(self) -> "KernelSolution":
        """Newton's method from above: the equations x = F(x) are increasing and concave, the iterates decrease."""
        f = (self.D_a + self.beta_a) / self.ridge / self.psi_n
        x = (self.average(self.D_psi) + self.beta_psi) / self.ridge / self.psi_n + self.q * f, f
        for _ in range(MAX_STEPS):
            at = self.at(x)
            # Rows of I - F' sum, in relative coordinates, to the excess x - F(x) and the remainder F(x) - F'x.
            remainder = tuple(a / b for a, b in zip(at.remainder, x, strict=True))
            excess = (1 - a / b for a, b in zip(at.image, x, strict=True))
            slack = tuple(a + np.maximum(b, -a / 2) for a, b in zip(remainder, excess, strict=True))
            factor = _solve_pair(slack, at.coupling, remainder)
            x = x[0] * factor[0], x[1] * factor[1]
            if all(np.all(np.abs(value - 1) <= 1e-14) for value in factor):
                break
        return self.at(x)

    def at(self, x: Pair) -> "KernelSolution":
        """F(x) and what derives from it."""
        e_s, f = x
        c_s, r_a = 1 / (self.unit + e_s), 1 / (self.unit + self.q * f)
        D_s = self.D_psi + self.q * self.D_a
        resolvent = 1 / (self.ridge + c_s * D_s + (1 - self.q) * r_a * self.D_a)
        own_s, own_a = c_s**2, (1 - self.q) * r_a**2
        square = resolvent**2
        still = (self.ridge + self.unit * (own_s * D_s + own_a * self.D_a)) * square
        beta_psi, beta_f = self.beta_psi / self.ridge, self.beta_a / self.ridge
        shared = (self.average(self.D_psi * resolvent) + beta_psi) / self.psi_n
        image_f = (self.D_a * self.average(resolvent) + beta_f) / self.psi_n
        rest_f = (self.D_a * self.average(still) + beta_f) / self.psi_n
        rest_s = (self.average(D_s * still) + beta_psi + self.q * beta_f) / self.psi_n
        mixed = self.average(D_s * square) * self.D_a / self.psi_n
        coupling = self.q * own_a * mixed * (f / e_s), own_s * mixed * (e_s / f)
        return KernelSolution(
            x, c_s, r_a, D_s, resolvent, shared, (shared + self.q * image_f, image_f), (rest_s, rest_f), coupling
        )


class KernelSolution(NamedTuple):
    """Order parameters x = (e_s, f), and I - F' there."""

    x: Pair
    c_s: Any
    r_a: Any  # c_a = (1 - q) r_a
    D_s: Any
    resolvent: Any  # 1/(ridge + D), shape (S, ...)
    shared: Any  # e_s - e_a
    image: Pair
    remainder: Pair
    coupling: Pair

    def response(self, kernel: Kernel, weight_s: Any, weight_a: Any) -> Pair:
        """Responses (kappa_s, kappa_t) of c_s and c_t to a probe that raises c_s and c_a in D by the weights."""
        probe = (weight_s * self.D_s + weight_a * kernel.D_a) * self.resolvent**2 / kernel.psi_n
        b = kernel.average(self.D_s * probe) / self.x[0], kernel.D_a * kernel.average(probe) / self.x[1]
        slack = tuple(a / b for a, b in zip(self.remainder, self.x, strict=True))
        y_s, y_f = _solve_pair(slack, self.coupling, b)
        kappa_s = self.c_s**2 * y_s * self.x[0]
        kappa_a = kernel.q * (1 - kernel.q) * self.r_a**2 * y_f * self.x[1]
        return kappa_s, kernel.q * kappa_s + kappa_a


def _solve_pair(slack: Any, coupling: Any, b: Any) -> Pair:
    """Solve the 2 x 2 system whose rows sum to `slack` and whose off-diagonal elements are -coupling."""
    (s1, s2), (n1, n2), (b1, b2) = slack, coupling, b
    determinant = s1 * s2 + s1 * n2 + n1 * s2
    return (b1 * (s2 + n2) + n1 * b2) / determinant, (b2 * (s1 + n1) + n2 * b1) / determinant


def number(name: str, value: Any, problem: Any, allowed: Range) -> Any:
    """A float array within range that broadcasts against the problem."""
    array = field(name, number_array(name, value, allowed[0]), allowed)
    try:
        np.broadcast_shapes(array.shape, problem.shape if isinstance(problem, Problem) else ())
    except ValueError:
        raise ValueError(
            f"{name} has shape {array.shape}: must broadcast against the problem's {problem.shape}"
        ) from None
    return array
