"""The linear one-step denoiser: losses, generated law and memorisation, by theory and by simulation."""

from rfdsm.linear.chain import chain as chain
from rfdsm.linear.chain import optimal_steps as optimal_steps
from rfdsm.linear.generated import generated as generated
from rfdsm.linear.memorisation import Memorisation as Memorisation
from rfdsm.linear.memorisation import memorisation as memorisation
from rfdsm.linear.model import Comparison as Comparison
from rfdsm.linear.model import compare as compare
from rfdsm.linear.predict import predict as predict
from rfdsm.linear.problem import Problem as Problem
from rfdsm.linear.simulate import Simulation as Simulation
from rfdsm.linear.simulate import simulate as simulate
from rfdsm.linear.simulate import simulate_chain as simulate_chain
from rfdsm.losses import DenoisingLosses as DenoisingLosses
from rfdsm.losses import GeneratedLaw as GeneratedLaw
