"""The standard error of theory where its spectrum is an estimate."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from rfdsm import spectra
from rfdsm.population_spectrum import Law, alike, estimated
from rfdsm.problem import Problem
from rfdsm.samples import centre
from rfdsm.simulation.plan import realised
from rfdsm.theory.predict import predict


def sampling_error(
    problem: Problem, dimensions: Sequence[int], names: Sequence[str], data: np.ndarray
) -> Float[np.ndarray, "losses dimensions *grid"]:
    """Standard errors of theory at the ratios realised: with data their population's spectrum is an estimate."""
    found = estimated(centre(data))

    def losses(law: Law) -> np.ndarray:
        spectrum = spectra.Spectrum(*alike(law))
        at = [predict(dataclasses.replace(realised(problem, d), spectrum=spectrum)) for d in dimensions]
        return np.array([[np.asarray(getattr(part, name)) for part in at] for name in names], dtype=np.float64)

    with np.errstate(invalid="ignore"):  # inf - inf at p = nm without ridge
        return found.error(losses)
