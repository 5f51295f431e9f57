"""The losses of the linear denoiser, returned by theory and by simulation alike."""

from typing import ClassVar

import jax
import numpy as np
from jaxtyping import Bool, Float

from rfdsm.printing import Printed

Values = Float[jax.Array | np.ndarray, "..."]


class DenoisingLosses(Printed):
    """Mean squared errors of the denoised points per coordinate, |x - b0 - b1 y|^2 / d, in the units of sigma^2.

    Arrays have the problem's shape, with a leading trial axis in simulations. A denoiser that answers with the mean has
    loss tr Sigma / d. Definitions: docs/linear, section 2.
    """

    train: Values
    """On the noisy points the denoiser was fitted to, without the ridge penalty."""
    empirical_test: Values
    """On the training points with fresh noise."""
    test: Values
    """On fresh points with fresh noise."""
    excess: Values
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

    NAMES: ClassVar[tuple[str, ...]] = ("train", "empirical_test", "test", "excess")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape shared by all loss arrays."""
        return tuple(np.shape(self.train))
