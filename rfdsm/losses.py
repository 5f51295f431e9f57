"""The result both wings return: the four losses of one denoising score-matching problem."""

from typing import ClassVar

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Bool, Float

from rfdsm.printing import Printed

Values = Float[jax.Array | np.ndarray, "..."]


class Run(eqx.Module):
    """What a simulation really drew."""

    n: np.ndarray
    """Training points, whole numbers of the problem's shape."""
    p: np.ndarray
    """Features, whole numbers of the problem's shape."""
    d: int
    """Dimension."""
    seeds: np.ndarray
    """Key words of every trial, shape (trials, words): `jax.random.wrap_key_data` makes them a key."""


class Losses(Printed):
    """Losses per coordinate (divided by d): arrays of the problem's shape, with a leading trial axis in simulations.

    A network that outputs zero has `train` = `empirical_test` = `test` = 1. Definitions: docs/theory, section 1.
    """

    train: Values
    """Denoising loss on the noise draws the network was trained on, without the ridge penalty."""
    empirical_test: Values
    """Denoising loss on the training points with fresh noise; small when the training points are memorised."""
    test: Values
    """Denoising loss on fresh points with fresh noise."""
    score: Values
    """Mean squared error of the learned score, (1/d) E|s - grad log P_t|^2; NaN where the true score is unknown."""
    objective: Values
    """Optimal value of the training objective: `train` plus the ridge penalty."""
    floor: Values
    """Denoising loss of the true score; test = floor + h * score."""
    converged: Bool[jax.Array | np.ndarray, "..."] | None = None
    """Theory: whether the fixed point was reached. Where False the losses are NaN."""
    residual: Values | None = None
    """Theory: relative residual of the fixed-point equations."""
    steps: Values | None = None
    """Theory: number of Newton steps taken."""
    run: Run | None = None
    """Simulation: sizes and seeds."""

    NAMES: ClassVar[tuple[str, ...]] = ("train", "empirical_test", "test", "score")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape shared by all loss arrays."""
        return tuple(np.shape(self.train))
