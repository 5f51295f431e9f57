"""The linear one-step denoiser: losses, generated law and memorisation, by theory and by simulation."""

from rfdsm.linear._chain import chain as chain, optimal_steps as optimal_steps
from rfdsm.linear._generated import generated as generated
from rfdsm.linear._memorisation import Memorisation as Memorisation, memorisation as memorisation
from rfdsm.linear._model import Comparison as Comparison, compare as compare
from rfdsm.linear._plan import memory_estimate as memory_estimate
from rfdsm.linear._predict import predict as predict
from rfdsm.linear._problem import Problem as Problem
from rfdsm.linear._simulate import Simulation as Simulation, simulate as simulate, simulate_chain as simulate_chain
from rfdsm.losses import DenoisingLosses as DenoisingLosses, GeneratedLaw as GeneratedLaw
