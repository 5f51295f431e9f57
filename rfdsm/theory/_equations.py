"""Order parameters of ridge regression on two Gaussian populations, and their linear response.

The unknowns are x = (E_s, F, G) = (psi_n e_s, psi_n e_a/q, psi_p g), solving x = F(x) (docs/theory, section 3):

    c_s = 1/(unit + E_s/psi_n)     c_a = (1 - q)/(unit + q F/psi_n)
    D(s) = c_s D_s(s) + c_a D_a     w = G D     tau[N] = G <N/(1 + w)>
    1/G = ridge + (c_s beta_s + c_a beta_a + <D/(1 + w)>)/psi_p
    E_s = tau[D_s] + beta_s G     F = tau[D_a] + beta_a G

F is increasing and jointly concave, so Newton's method started at an x >= F(x) decreases to the solution. Three things
make the arithmetic as safe as the method. Every quantity is a sum of positive terms. F is homogeneous of degree one in
(x, unit, 1/ridge): rescaling all of them describes the same problem, so that either unit or ridge may vanish at
lambda = 0. And Euler's identity gives the *slack* of I - F' as a positive sum,

    x - F' x = [x - F(x)] + unit dF/d(unit) - ridge dF/d(ridge),

from which Gaussian elimination needs no subtraction (Grassmann, Taksar and Heyman's device for M-matrices): linear
responses keep their relative accuracy however close to singular I - F' comes, as it does at p = nm when lambda -> 0.
The last two terms are also Newton's right-hand side: the next iterate solves (I - F') x = F(x) - F' x, all positive.

Everything is elementwise in the cells; only averages over the spectrum of Sigma reduce an axis, the first.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from rfdsm.theory._populations import Populations

Triple = tuple[Any, Any, Any]
"""A value for each unknown: (E_s, F, G)."""


class State(NamedTuple):
    """Everything the equations and their derivatives need at a point x, evaluated once."""

    c_s: Any
    c_a: Any
    own_s: Any  # c_s^2 = -dc_s/d(unit)
    own_a: Any  # -dc_a/d(unit)
    shared: Any  # tau[D_psi] + beta_psi G = E_s - q F, without cancellation
    shrink: Any  # 1/(1 + w), w = G D(s); shape (S, ...)
    image: Triple  # F(x)


def evaluate(x: Triple, P: Populations) -> State:
    """c, 1/(1 + w) and F(x) at x."""
    E_s, F, G = x
    c_s = 1 / (P.unit + P.inverse_psi_n * E_s)
    r_a = 1 / (P.unit + P.q * P.inverse_psi_n * F)
    c_a = (1 - P.q) * r_a
    D = c_s * P.signal * P.nodes + (P.q * c_s + c_a) * P.noise
    shrink = 1 / (1 + G * D)
    F_image = G * (P.noise * P.average(shrink) + P.beta_a)
    shared = G * (P.signal * P.average(P.nodes * shrink) + P.beta_psi)
    A = c_s * P.beta_s + c_a * P.beta_a
    G_image = 1 / (P.ridge + P.inverse_psi_p * (A + P.average(D * shrink)))
    return State(c_s, c_a, c_s**2, c_a * r_a, shared, shrink, (shared + P.q * F_image, F_image, G_image))


class Jacobian(NamedTuple):
    """I - F' in relative coordinates y_i / x_i, and the sources that probes of the two populations put beside it."""

    x: Triple
    source_s: Triple  # decrease of F(x) per unit by which a probe raises c_s
    source_a: Triple  # the same for c_a
    coupling: tuple[Any, Any, Any, Any, Any, Any]  # F'_ij x_j / x_i for ij = 12, 13, 21, 23, 31, 32
    slack: Triple  # row sums of the matrix

    def solve(self, b: Triple, first: Any = None) -> Triple:
        """Solve (I - F') y = b by elimination without subtractions in the matrix.

        With `first`, which is y_1/x_1, only the last two equations count.
        """
        n12, n13, n21, n23, n31, n32 = self.coupling
        s1, s2, s3 = self.slack
        b1, b2, b3 = (value / unknown for value, unknown in zip(b, self.x, strict=True))
        d3 = 1 / (s3 + n31 + n32)
        n13, n23 = n13 * d3, n23 * d3
        s1, b1, n12 = s1 + n13 * s3, b1 + n13 * b3, n12 + n13 * n32
        s2, b2, n21 = s2 + n23 * s3, b2 + n23 * b3, n21 + n23 * n31
        d2 = 1 / (s2 + n21)
        n12 = n12 * d2
        y1 = (b1 + n12 * b2) / (s1 + n12 * s2) if first is None else first
        y2 = (b2 + n21 * y1) * d2
        y3 = (b3 + n31 * y1 + n32 * y2) * d3
        return y1 * self.x[0], y2 * self.x[1], y3 * self.x[2]

    def pinned(self, b: Triple, third: Any) -> Triple:
        """The same from the first two equations alone, given `third`, which is y_3/x_3."""
        n12, n13, n21, n23, _, _ = self.coupling
        s1, s2, _ = self.slack
        b1, b2, _ = (value / unknown for value, unknown in zip(b, self.x, strict=True))
        s1, b1, s2, b2 = s1 + n13, b1 + n13 * third, s2 + n23, b2 + n23 * third
        n12 = n12 / (s2 + n21)
        y1 = (b1 + n12 * b2) / (s1 + n12 * s2)
        y2 = (b2 + n21 * y1) / (s2 + n21)
        return y1 * self.x[0], y2 * self.x[1], third * self.x[2]

    def response(self, weight_s: Any, weight_a: Any) -> Triple:
        """Decrease of the solution per unit of a probe that raises c_s by weight_s and c_a by weight_a."""
        return self.solve(_combined(weight_s, self.source_s, weight_a, self.source_a))


def _combined(weight_s: Any, source_s: Triple, weight_a: Any, source_a: Triple) -> Any:
    return tuple(weight_s * s + weight_a * a for s, a in zip(source_s, source_a, strict=True))


def jacobian(x: Triple, state: State, P: Populations) -> Jacobian:
    """I - F' at the solution, where the excess x - F(x) is zero by definition."""
    E_s, F, G = x
    weight = P.weights * state.shrink**2
    i0, i1, i2 = (jnp.sum(weight * P.nodes**power, axis=0) for power in range(3))
    G_squared, resolvent_squared = G**2, state.image[2] ** 2
    gain = P.inverse_psi_p * resolvent_squared

    def source(D_signal: Any, D_constant: Any, A: Any) -> Triple:  # probe D += D_signal s + D_constant, psi_p/G += A
        mean, mean_s = D_signal * i1 + D_constant * i0, D_signal * i2 + D_constant * i1
        of_F = G_squared * P.noise * mean
        return G_squared * P.signal * mean_s + P.q * of_F, of_F, gain * (A + mean)

    source_s = source(P.signal, P.q * P.noise, P.beta_s)
    source_a = source(0.0, P.noise, P.beta_a)
    k_s = P.inverse_psi_n * state.own_s  # -dc_s/dE_s
    k_a = P.q * P.inverse_psi_n * state.own_a  # -dc_a/dF
    F_G = P.noise * i0 + P.beta_a
    E_G = P.signal * i1 + P.beta_psi + P.q * F_G
    coupling = (
        k_a * source_a[0] * F / E_s,
        E_G * G / E_s,
        k_s * source_s[1] * E_s / F,
        F_G * G / F,
        k_s * source_s[2] * E_s / G,
        k_a * source_a[2] * F / G,
    )
    euler = _combined(P.unit * state.own_s, source_s, P.unit * state.own_a, source_a)
    euler = (euler[0], euler[1], euler[2] + P.ridge * resolvent_squared)
    slack = tuple(row / unknown for row, unknown in zip(euler, x, strict=True))
    return Jacobian(x, source_s, source_a, coupling, slack)  # pyright: ignore[reportArgumentType]


def positive_root(a: Any, b: Any, c: Any) -> Any:
    """Positive root of a x^2 + b x = c, for a, c >= 0, without cancellation; infinite if there is none."""
    root = jnp.sqrt(b**2 + 4 * a * c)
    return jnp.where(b > 0, 2 * c / (b + root), (root - b) / (2 * a))
