from . import (
    activations as activations,
    compiled as compiled,
    data as data,
    datasets as datasets,
    linear as linear,
    networks as networks,
    phases as phases,
    plots as plots,
    sampling as sampling,
    schedules as schedules,
    simulation as simulation,
    spectra as spectra,
    sweeps as sweeps,
    targets as targets,
    theory as theory,
    units as units,
)
from ._comparison import Comparison as Comparison, compare as compare
from ._problem import Problem as Problem
from ._references import citation as citation
from .explorer._server import Explorer as Explorer, explore as explore
from .losses import Losses as Losses
from .phases._boundaries import boundary as boundary
from .phases._generation import generation_diagram as generation_diagram
from .phases._optimal import optimal as optimal
from .phases._regimes import phase_diagram as phase_diagram
from .phases.advice import advise as advise
from .simulation._generation import (
    SimulatedGeneration as SimulatedGeneration,
    simulate_generation as simulate_generation,
)
from .simulation._network import fit as fit
from .simulation._simulate import simulate as simulate
from .simulation._training import simulate_training as simulate_training
from .sweeps._run import sweep as sweep
from .theory._generated_memorisation import generated_memorisation as generated_memorisation
from .theory._generation import GeneratedLaw as GeneratedLaw, generated_law as generated_law
from .theory._optimal_levels import optimal_levels as optimal_levels
from .theory._path import integrated_losses as integrated_losses, path_bound as path_bound
from .theory._predict import predict as predict
from .theory._stopping import Stopping as Stopping, optimal_stopping as optimal_stopping
from .theory._training import training_curve as training_curve
from .theory.generation_limit import generated_limit as generated_limit
from .theory.spectrum import SpectralDensity as SpectralDensity, spectral_density as spectral_density

__version__: str
