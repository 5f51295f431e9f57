"""The results both wings return, and the table of what they hold.

The declaration of a loss is its row: name, title, long name and the value at singular points. Tuples of names, labels
of files and pictures and the rule at singular points derive from it.
"""

import dataclasses
from typing import Any, ClassVar

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Bool, Float

from rfdsm._printing import Printed
from rfdsm._vocabulary import THIRDS, Quantity

Values = Float[jax.Array | np.ndarray, "..."]


class Run(eqx.Module):
    """What a simulation really drew."""

    n: np.ndarray
    """Training points, whole numbers of the problem's shape."""
    p: np.ndarray | None
    """Features, whole numbers of the problem's shape; None for a model without."""
    d: int
    """Dimension."""
    seeds: np.ndarray
    """Key words of every trial, shape (trials, words): `jax.random.wrap_key_data` makes them a key."""


def row(title: str, singular: float, long_name: str = "", **look: Any) -> dict[str, Quantity]:
    """Metadata of a field that is a quantity: see `Quantity`; its long name is the title unless another is given."""
    return {"row": Quantity(title, long_name or title, singular, **look)}


def rows_of(result: type) -> dict[str, Quantity]:
    """The quantities of a class of results, in their order."""
    return {field.name: field.metadata["row"] for field in dataclasses.fields(result) if "row" in field.metadata}


# Of both models.
_TRAIN = row("training loss", 0.0, scale="linear")
_AGAIN = row("training points, fresh noise", np.inf, "loss on the training points with fresh noise", over_floor=True)
_TEST = row("test loss", np.inf, over_floor=True)


def _law(title: str, singular: float, what: str) -> dict[str, Quantity]:
    return row(title, singular, f"{what} per dimension", label="per dimension")


class Losses(Printed):
    """Losses per coordinate (divided by d): arrays of the problem's shape, with a leading trial axis in simulations.

    Definitions: docs/theory, section 1.
    """

    train: Values = eqx.field(metadata=_TRAIN)
    """Denoising loss on the noise draws the network was trained on, without the ridge penalty."""
    empirical_test: Values = eqx.field(metadata=_AGAIN)
    """Denoising loss on the training points with fresh noise; small when the training points are memorised."""
    test: Values = eqx.field(metadata=_TEST)
    """Denoising loss on fresh points with fresh noise."""
    score: Values = eqx.field(metadata=row("score error", np.inf, label="error per coordinate", scale="log"))
    """Mean squared error of the learned score, (1/d) E|s - grad log P_t|^2; NaN where the true score is unknown."""
    objective: Values
    """Optimal value of the training objective: `train` plus the ridge penalty."""
    floor: Values
    """Denoising loss of the true score; for the default target test = floor + h * score."""
    null: Values | None = None
    """Test loss of a network that outputs zero, alpha^2 tr(Sigma)/d + beta^2: 1 for the default target."""
    converged: Bool[jax.Array | np.ndarray, "..."] | None = None
    """Theory: whether the fixed point was reached. Where False the losses are NaN."""
    residual: Values | None = None
    """Theory: relative residual of the fixed-point equations."""
    steps: Values | None = None
    """Theory: number of Newton steps taken."""
    run: Run | None = None
    """Simulation: sizes and seeds."""

    NAMES: ClassVar[tuple[str, ...]]
    """Of the losses."""
    BOUNDS: ClassVar[tuple[str, ...]] = ("floor", "null")
    """What losses are measured against."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape shared by all loss arrays."""
        return tuple(np.shape(self.train))


class DenoisingLosses(Printed):
    """Mean squared errors of the denoised points per coordinate, |x - b0 - b1 y|^2 / d, in the units of sigma^2.

    Arrays have the problem's shape, with a leading trial axis in simulations. A denoiser that answers with the mean has
    loss tr Sigma / d. Definitions: docs/linear, section 2.
    """

    train: Values = eqx.field(metadata=_TRAIN)
    """On the noisy points the denoiser was fitted to, without the ridge penalty."""
    empirical_test: Values = eqx.field(metadata=_AGAIN)
    """On the training points with fresh noise."""
    test: Values = eqx.field(metadata=_TEST)
    """On fresh points with fresh noise."""
    excess: Values = eqx.field(
        metadata=row("excess of the test loss", np.inf, "test loss above that of the best denoiser")
    )
    """test - floor, computed without the subtraction in theory."""
    floor: Values
    """Of the best denoiser, the posterior mean: <s eta/(a^2 s + eta)>."""
    objective: Values
    """train plus the ridge penalty."""
    converged: Bool[jax.Array | np.ndarray, "..."] | None = None
    """Theory: whether the fixed point was reached. Where False the losses are NaN."""
    residual: Values | None = None
    """Theory: relative residual of the fixed-point equations."""
    steps: Values | None = None
    """Theory: number of Newton steps."""

    NAMES: ClassVar[tuple[str, ...]]
    """Of the losses."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape shared by all loss arrays."""
        return tuple(np.shape(self.train))


class GeneratedLaw(Printed):
    """How far the generated normal law is from the target, per dimension; arrays of the problem's shape.

    With smoothing rho > 0, both laws are first convolved with N(0, rho). Simulations have a leading trial axis.
    Values that are infinite are `inf`: without smoothing the generated covariance is singular for n <= d.
    """

    kl: Values = eqx.field(metadata=_law(r"KL(generated $\|$ target)", np.inf, "KL(generated || target)"))
    """KL(generated || target) / d."""
    reverse_kl: Values = eqx.field(metadata=_law(r"KL(target $\|$ generated)", np.nan, "KL(target || generated)"))
    """KL(target || generated) / d."""
    bhattacharyya: Values = eqx.field(metadata=_law("Bhattacharyya rate", np.nan, "Bhattacharyya rate"))
    """-(1/d) log of the overlap of square roots of the densities; `hellinger` follows from it."""
    wasserstein: Values = eqx.field(
        metadata=_law("Wasserstein distance $W_2^2$", np.inf, "squared 2-Wasserstein distance")
    )
    """Squared 2-Wasserstein distance / d, in the units of sigma^2."""
    logdet: Values = eqx.field(
        metadata=_law(r"$\log\det(\rho + \Sigma_G)$", np.nan, "log determinant of the smoothed generated covariance")
    )
    """(1/d) log det(rho + Sigma_G)."""
    trace: Values = eqx.field(metadata=_law(r"$\mathrm{tr}\,\Sigma_G$", np.inf, "trace of the generated covariance"))
    """(1/d) tr Sigma_G, without rho."""
    converged: Bool[jax.Array | np.ndarray, "..."] | None = None
    """Theory: whether the equations were solved. Where False the values are NaN."""
    residual: Values | None = None
    """Theory: largest relative residual along the way to the values."""

    NAMES: ClassVar[tuple[str, ...]]
    """Of the statistics."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape shared by all arrays."""
        return tuple(np.shape(self.kl))

    def hellinger(self, d: Any) -> np.ndarray:
        """Squared Hellinger distance 1 - exp(-d * bhattacharyya) in d dimensions."""
        return np.asarray(-np.expm1(-np.asarray(d) * np.asarray(self.bhattacharyya)))


for _result in (Losses, DenoisingLosses, GeneratedLaw):
    _result.NAMES = tuple(rows_of(_result))
SINGULAR = {name: quantity.singular for name, quantity in rows_of(Losses).items()} | {"objective": 0.0}
"""Values where there are as many draws as independent features, and no ridge."""
QUANTITIES = rows_of(Losses) | rows_of(DenoisingLosses) | rows_of(GeneratedLaw) | THIRDS
"""Of all results, by name."""
