"""Activation functions and the three numbers by which each enters the theory (Gaussian equivalence).

A pre-activation is u = s + r, with s ~ N(0, shared) common to all noise draws of one data point and r ~ N(0, private)
fresh in every draw. With G^2 = shared + private, g standard normal and u, u' two draws of one data point:

    mu1 = E[g f(G g)] / G        v^2 = Var f(u) - mu1^2 G^2        v0^2 = Cov(f(u), f(u')) - mu1^2 shared

and beta_a = v^2 - v0^2. The mean of f drops out of every limit. Closed forms are in `closed_forms`, all
other functions go through the split rule of `rfdsm.activations.quadrature` (`numerical`).
"""

from rfdsm.activations.base import Activation as Activation
from rfdsm.activations.base import Moments as Moments
from rfdsm.activations.numerical import QuadratureWarning as QuadratureWarning
from rfdsm.activations.registry import NAMES as NAMES
from rfdsm.activations.registry import custom as custom
from rfdsm.activations.registry import get as get
from rfdsm.activations.registry import hermite as hermite
from rfdsm.activations.registry import leaky_relu as leaky_relu
from rfdsm.activations.registry import polynomial as polynomial
from rfdsm.activations.table import tabulate as tabulate
