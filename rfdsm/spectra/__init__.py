"""The spectrum of the data covariance Sigma as a short list of nodes and weights.

Every formula of the theory sees Sigma only through averages <f> = (1/d) tr f(Sigma), with f of resolvent type such as
1/(1 + x lambda). A `Spectrum` replaces the average by a weighted sum over few nodes: exactly where Sigma has few
distinct eigenvalues, otherwise by a quadrature rule whose measured error is kept in `error`.
"""

from rfdsm.spectra._families import atoms, isotropic, power_law
from rfdsm.spectra._measured import from_covariance, from_data, from_eigenvalues
from rfdsm.spectra._spectrum import Spectrum

__all__ = ["Spectrum", "atoms", "from_covariance", "from_data", "from_eigenvalues", "isotropic", "power_law"]
