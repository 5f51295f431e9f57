"""How many Hermite coefficients an expansion needs, and which quadrature gives them to rounding; on the host."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from rfdsm._scope import jax_scope
from rfdsm.activations._base import Activation
from rfdsm.activations._expansion import Rule, hermite_functions, hermite_rule, panel_rule
from rfdsm.activations._kept import kept

TERMS = (2, 4, 6, 8, 10, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Numbers of coefficients to choose from, and below them orders of Gauss-Hermite rules: few sizes, few compilations."""
ORDERS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768)
RULE_ACCURACY = 1e-11
"""Error allowed of a rule at the largest deviation, relative to the second moment; losses change 100 times less."""
SINGLE_ACCURACY = 3e-9
"""Bound on what products in single precision do to losses, relative; they really do some ten thousand times less."""


class Choice(NamedTuple):
    """What `expand` needs, the relative error that is left, and the mean square of the activation."""

    terms: int
    fewest: int
    """As many would do, were they not rounded up to a size that many settings share."""
    double: int
    """Terms from the first whose products need double precision: the rounding of single precision harms no others."""
    rule: Rule | None
    error: float
    second: float


@kept(maxsize=256)
def choose(activation: Activation, spread: float, largest: float, sizes: tuple[float, ...], tolerance: float) -> Choice:
    """The fewest terms whose remainder is small, and the cheapest rule that is exact to rounding for them.

    The remainder after R terms, sum_{r >= R} c_r c_r' rho^r off the diagonal, has an operator norm of about
    sum_{r >= R} sizes[r] c_r^2. It is compared with the energy of all non-linear terms, which bounds a network's loss
    from below by the same norm of its weights: the ratio bounds the relative error of losses.

    Args:
        spread: standard deviation of the means, which are taken as normal.
        largest: deviation that can occur.
        sizes: norms of the matrices of rho^r off the diagonal, r = 0, 1, ..., at least TERMS[-1] + 1 of them.
        tolerance: of the relative error.
    """
    breakpoints = getattr(activation, "breakpoints", (0.0,))
    grid = np.linspace(-4, 4, 33) if spread else np.zeros(1)
    mean, weights = spread * grid, np.exp(-(grid**2) / 2)
    weights /= weights.sum()
    degree = getattr(activation, "degree", None)
    orders = [hermite_rule(order) for order in ORDERS if degree is None or order > degree]
    if degree is None:
        exact, over = panel_rule(breakpoints, largest, order=18).at(mean, largest)
    else:  # a rule of more nodes than the degree is exact; the tails of high powers would outgrow any panels
        exact, over = (np.repeat(part[:, None], len(mean), axis=1) for part in orders[0])
    # All function values at once: an activation called eagerly is compiled for every new size.
    points = [mean + largest * x for x in (exact, *(rule.nodes[:, None] for rule in orders))]
    with jax_scope():
        values = np.asarray(activation(jnp.asarray(np.concatenate(points))))
    at_exact, *at_nodes = np.split(values, np.cumsum([len(part) for part in points])[:-1])

    coefficients = hermite_functions(exact, over * at_exact, TERMS[-1], lambda part: part.sum(axis=0))
    if degree is not None:
        coefficients[degree + 1 :] = 0.0  # which a rule just long enough for the degree would not see
    second = np.sum(over * at_exact**2, axis=0)
    energies = coefficients**2 @ weights
    total = second @ weights
    # What rounding leaves of a sum of squares that is complete is no remainder.
    beyond = max(0.0, total - energies.sum() - 1e-14 * total) * sizes[len(energies)]
    after = np.append(np.cumsum((energies * sizes[: len(energies)])[::-1])[::-1], 0.0) + beyond
    bounds = after[list(TERMS)]
    nonlinear = max(total - energies[:2].sum(), 1e-14 * total, 1e-300)
    enough = np.flatnonzero(bounds <= tolerance * nonlinear)
    index = int(enough[0]) if enough.size else len(TERMS) - 1
    terms, error = TERMS[index], float(bounds[index] / nonlinear)
    fewest = max(2, int(np.argmax(after <= tolerance * nonlinear))) if enough.size else terms
    rounding = np.finfo(np.float32).eps / 2 * after[:terms]
    harmless = np.flatnonzero(rounding <= SINGLE_ACCURACY * nonlinear)
    double = int(harmless[0]) if harmless.size else terms
    if not activation.needs_rule:
        return Choice(terms, fewest, double, None, error, float(total))

    used = terms if degree is None else min(terms, degree + 1)
    scale = np.minimum(1.0, np.asarray(sizes[:used]))[:, None]
    for rule, at in zip(orders, at_nodes, strict=True):
        tried = np.stack(hermite_functions(rule.nodes, rule.weights, used)) @ at
        wrong = np.sum((scale * (tried - coefficients[:used])) ** 2, axis=0) @ weights
        if wrong <= RULE_ACCURACY**2 * total and abs(rule.weights @ at**2 - second) @ weights <= RULE_ACCURACY * total:
            return Choice(terms, fewest, double, rule, error, float(total))
    return Choice(terms, fewest, double, panel_rule(breakpoints, largest), error, float(total))
