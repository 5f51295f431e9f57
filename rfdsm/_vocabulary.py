"""What fields and quantities are called, in files, tables and pictures, and which values fields may take.

One name means one thing in every model. Rows of losses and other results stand with the results themselves, in
`rfdsm.losses`.
"""

from typing import Literal, NamedTuple

import numpy as np

from rfdsm._arguments import Range


class Field(NamedTuple):
    """A number that a problem is asked at."""

    symbol: str
    """In legends."""
    label: str
    """Of an axis."""
    long_name: str
    """In files."""
    range: Range
    """What is allowed, in words, and its test."""


class Quantity(NamedTuple):
    """A number that theory and simulation have in common."""

    title: str
    """Of a panel."""
    long_name: str
    """In files."""
    singular: float
    """Its value in theory where there are as many draws as independent features, and no ridge."""
    label: str = "loss per coordinate"
    """Of the vertical axis."""
    scale: Literal["linear", "log", "peaked"] = "peaked"
    """Of the vertical axis; "peaked": logarithmic if the values span more than a decade and a half."""
    over_floor: bool = False
    """Whether the floor is a bound on it, and drawn beside it."""


THIRDS = {
    f"variance_{third}": Quantity(
        f"variance, {third} third",
        f"mean variance of samples in the {third} third of the sample covariance's eigenvectors",
        np.nan,
        "variance",
    )
    for third in ("lowest", "middle", "highest")
}
"""Of generated samples."""

_DRAWS: Range = ("an integer >= 1 or inf", lambda x: (x >= 1) & (np.isinf(x) | (x == np.round(x))))
_POSITIVE: Range = ("finite and > 0", lambda x: np.isfinite(x) & (x > 0))
_NOT_NEGATIVE: Range = ("finite and >= 0", lambda x: np.isfinite(x) & (x >= 0))
_SAMPLES: Range = ("> 0 (inf: the population limit)", lambda x: x > 0)
_FEATURES: Range = ("> 0 (inf: the kernel limit)", lambda x: x > 0)
LATEST = 300.0  # beyond it e^{-2T} leaves the range in which float64 keeps its digits
_TIME: Range = (f"> 0 and at most {LATEST:g}", lambda x: (x > 0) & (x <= LATEST))

FIELDS = {
    "psi_n": Field(r"$\psi_n$", r"samples per dimension $\psi_n = n/d$", "samples per dimension n/d", _SAMPLES),
    "psi_p": Field(r"$\psi_p$", r"features per dimension $\psi_p = p/d$", "features per dimension p/d", _FEATURES),
    "psi": Field("$n/d$", r"samples per dimension $\psi = n/d$", "samples per dimension n/d", _POSITIVE),
    "m": Field("$m$", "noise draws per sample $m$", "noise draws per sample", _DRAWS),
    "t": Field("$t$", "diffusion time $t$", "diffusion time", _POSITIVE),
    "T": Field("$T$", "diffusion time $T$", "diffusion time", _TIME),
    "ridge": Field(r"$\lambda$", r"ridge $\lambda$", "ridge penalty", _NOT_NEGATIVE),
    "noise_scale": Field("$l$", "noise scale $l$", "noise scale l", _POSITIVE),
    "sigma": Field(r"$\sigma$", r"scale of the data $\sigma$", "scale of the data", _POSITIVE),
    "smoothing": Field(r"$\rho$", r"smoothing $\rho$", "variance that smooths both laws", _NOT_NEGATIVE),
}
"""Of all models, each in the order of its problem."""
ABSCISSAE = ("psi_p", "psi_n", "psi", "t", "T", "noise_scale", "ridge", "m", "sigma")
"""Fields that may serve as abscissa, the preferred ones first."""
RANGES = {name: field.range for name, field in FIELDS.items()}

LONG_NAMES = {
    "objective": "training objective with its penalty",
    "floor": "loss of the true score",
    "null": "test loss of a network that outputs zero",
    "converged": "fixed point reached",
    "residual": "relative residual of the fixed point",
    "steps": "Newton steps",
    "d": "dimension",
    "n": "training points",
    "p": "features",
    "trial": "repetition",
    "time": "flow time theta",
    "simulated_time": "flow time theta of simulations",
    "best_time": "flow time of least test loss",
    "generalisation_time": "flow time tau_gen at which the test loss has come down",
    "below_floor_time": "flow time at which training points are denoised better than by the true score",
    "memorisation_time": "flow time tau_mem from which the score is nearer to the empirical than to the true one",
    "sign": "sign of the relative distance",
    "log_distance": "log of the relative distance in units of a kernel's overlap with itself",
    "hellinger": "squared Hellinger distance to the target",
    "copied": "fraction of generated points that are copies",
    "nearest": "distance to the training set relative to a fresh set",
    "samples": "generated samples",
    "probability": "probability of a positive relative distance",
    "probability_error": "its standard error",
    "kl_at_end": "KL(generated || data at the last level) per dimension",
    "reverse_kl_at_end": "KL(data at the last level || generated) per dimension",
    "kl_along": "KL(generated || data) per dimension of the covariance averaged over networks",
    "reverse_kl_along": "KL(data || generated) per dimension of the covariance averaged over networks",
    "nodes": "eigenvalue of the sample covariance",
    "weights": "weight of the eigenvalue in the limiting spectrum",
    "path": "variance of samples after every step",
    "variance": "variance of samples along an eigenvector of the sample covariance",
    "density": "density of the generated covariance's spectrum",
    "atom": "variance of samples along the null directions of the sample covariance",
    "mass": "share of the null directions",
    "data_variance": "variance of the data in every direction",
    "eigenvalues": "eigenvalue of the sample covariance",
    "variances": "variance of samples along the eigenvector",
    "best_target": "target with the least distance of samples from the data",
    "least": "distance of the best target's samples from the data, per dimension",
    "best_ridge": "ridge with the least distance of samples from the data",
    "at_bound": "the best ridge is an end of its range",
    "mean_squared": "squared norm of the mean of samples per dimension",
    "copied_null": "fraction of fresh points that would be copies",
}
"""What else stands in files."""
