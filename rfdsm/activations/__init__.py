"""Activation functions and the three numbers by which each enters the theory (Gaussian equivalence).

A pre-activation is u = s + r, with s ~ N(0, shared) common to all noise draws of one data point and r ~ N(0, private)
fresh in every draw. With G^2 = shared + private, g standard normal and u, u' two draws of one data point:

    mu1 = E[g f(G g)] / G        v^2 = Var f(u) - mu1^2 G^2        v0^2 = Cov(f(u), f(u')) - mu1^2 shared

and beta_a = v^2 - v0^2. The mean of f drops out of every limit. Closed forms are in `_closed_forms`, all
other functions go through the split rule of `_quadrature` (`_numerical`).
"""

from rfdsm.activations._base import Activation as Activation, Moments as Moments
from rfdsm.activations._numerical import QuadratureWarning as QuadratureWarning
from rfdsm.activations._registry import (
    NAMES as NAMES,
    custom as custom,
    get as get,
    hermite as hermite,
    leaky_relu as leaky_relu,
    polynomial as polynomial,
)
from rfdsm.activations._table import tabulate as tabulate
