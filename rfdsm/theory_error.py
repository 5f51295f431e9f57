"""The standard error of theory where its spectrum is an estimate."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from rfdsm import spectra
from rfdsm.model import Model
from rfdsm.samples import centre
from rfdsm.spectra.population import Law, alike, estimated


def sampling_error(
    model: Model, problem: Any, dimensions: Sequence[int], names: Sequence[str], data: np.ndarray
) -> Float[np.ndarray, "losses dimensions *grid"]:
    """Standard errors of theory at the ratios realised: with data their population's spectrum is an estimate."""
    found = estimated(centre(data))

    def quantities(law: Law) -> np.ndarray:
        spectrum = spectra.Spectrum(*alike(law))
        at = [model.predict(model.realised(problem, int(d), data).at(spectrum=spectrum)) for d in dimensions]
        return np.array([[part[name] for part in at] for name in names], dtype=np.float64)

    with np.errstate(invalid="ignore"):  # inf - inf at p = nm without ridge
        return found.error(quantities)
