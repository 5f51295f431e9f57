from . import activations as activations
from . import data as data
from . import datasets as datasets
from . import linear as linear
from . import plots as plots
from . import simulation as simulation
from . import spectra as spectra
from . import theory as theory
from .comparison import Comparison as Comparison
from .comparison import compare as compare
from .losses import Losses as Losses
from .problem import Problem as Problem
from .simulation.simulate import simulate as simulate
from .simulation.training import simulate_training as simulate_training
from .theory.predict import predict as predict
from .theory.spectrum import SpectralDensity as SpectralDensity
from .theory.spectrum import spectral_density as spectral_density

__version__: str
