"""Where data come from: a normal law, or the rows of an array. All that depends on which is said here, once.

`of` makes a law at the door. How compiled code draws from it: `simulation/_design.py` and `linear/_fitting.py`.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from rfdsm._arguments import check_whole
from rfdsm._arrays import digest
from rfdsm._samples import centre, check_rows
from rfdsm._values import one_line
from rfdsm.spectra import Spectrum, _population as population
from rfdsm.spectra._measured import from_estimate

HELD_OUT = 10
"""One row in so many, and two at least, is left to test on."""


class Gaussian:
    """Centred normal points; it has all that a law has. Methods take problems of any model."""

    known = True
    """Whether the density is known: with it the true score, the least loss and divergences."""
    size: int = 0
    """Rows that are kept in memory."""
    most: float = np.inf
    """Points that can be trained on."""
    dimensions: tuple[int, ...] = ()
    """That it has by itself."""
    arrays: tuple[tuple[str, np.ndarray], ...] = ()
    """Names and values of what has to be kept in files."""
    shape: list[int] | None = None
    """Of the rows, for the record."""
    provenance: dict[str, Any] | None = None
    """What, beside the spectrum, tells it from others in files."""

    def __init__(self, spectrum: Spectrum) -> None:
        self.spectrum = spectrum

    def dimension(self, d: Any) -> int:
        """The one asked for. Raises ValueError for one that cannot be."""
        return check_whole("d", d, 1)

    def check_count(self, n: np.ndarray, ratio: str) -> None:
        """Raises ValueError where n = `ratio` d is more than can be trained on."""

    def fresh(self, n: int, count: int) -> int:
        """How many points stand for the law where n are trained on; at best so many."""
        return count

    def eigenvalues(self, d: int) -> Float[np.ndarray, " d"]:
        """Of the covariance, ascending; ones where it is not known."""
        return self.spectrum.realise(d)[0]

    def mean_square(self, d: int) -> float:
        """Mean of |x|^2/d over points."""
        return float(np.mean(self.eigenvalues(d)))

    def realised(self, problem: Any, d: int) -> Any:
        """The problem with the spectrum that d dimensions really have."""
        return problem.at(spectrum=problem.spectrum.realise(d)[1])

    def error(self, values: Callable[[population.Law], np.ndarray]) -> Any:
        """Standard error of what follows from the spectrum."""
        return 0.0


class Rows:
    """Rows of real samples, used as they are: each trial is trained on some, drawn at random, and tested on the others.

    Methods are those of `Gaussian`. Raises ValueError for what `check_rows` rejects.
    """

    known = False

    def __init__(self, rows: Any) -> None:
        self.rows = check_rows(rows)
        self.size, columns = self.rows.shape
        self.most = self.size - max(2, -(-self.size // HELD_OUT))
        self.dimensions, self.arrays, self.shape = (columns,), (("data", self.rows),), list(self.rows.shape)

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """See `Gaussian`."""
        return {"shape": self.shape, "sha256": digest(self.rows)}

    @cached_property
    def estimate(self) -> population.Estimate:
        """Of their population's spectrum; what is costly is made once."""
        return population.estimated(centre(self.rows))

    @cached_property
    def spectrum(self) -> Spectrum:
        """That of `spectra.from_data`."""
        population.warn_if_repeated(self.rows)
        return from_estimate(self.estimate, *self.rows.shape)

    def dimension(self, d: Any) -> int:
        """The number of columns, whether it is given or left out."""
        if d not in (None, *self.dimensions):
            raise ValueError(f"d = {one_line(d)} must be the number of columns of data, {self.dimensions[0]}")
        return self.dimensions[0]

    def check_count(self, n: np.ndarray, ratio: str) -> None:
        """See `Gaussian`."""
        if np.max(n) > self.most:
            raise ValueError(
                f"{ratio} d = {np.max(n):.0f} training rows must be at most {self.most}: data has {self.size} rows, "
                "a tenth is held out for testing"
            )

    def fresh(self, n: int, count: int) -> int:
        """All others."""
        return self.size - n

    def eigenvalues(self, d: int) -> Float[np.ndarray, " d"]:
        """See `Gaussian`."""
        return np.ones(d)

    def mean_square(self, d: int) -> float:
        """See `Gaussian`."""
        return float(np.mean(np.mean(self.rows**2, axis=1)))

    def realised(self, problem: Any, d: int) -> Any:
        """Rows have exactly their covariance, not one realised from its spectrum."""
        return problem

    def error(self, values: Callable[[population.Law], np.ndarray]) -> Any:
        """That of the estimate."""
        return self.estimate.error(values)


Law = Gaussian | Rows


def of(data: Any, spectrum: Any) -> Law:
    """The law of a request: of its rows, or normal where there are none. A law, which has been checked, is itself."""
    if isinstance(data, Law):
        return data
    return Gaussian(spectrum) if data is None else Rows(data)
