"""Simulation: losses of real networks at finite d."""

from rfdsm.simulation.generation import SimulatedGeneration as SimulatedGeneration
from rfdsm.simulation.generation import simulate_generation as simulate_generation
from rfdsm.simulation.memory import memory_estimate as memory_estimate
from rfdsm.simulation.network import Network as Network
from rfdsm.simulation.network import fit as fit
from rfdsm.simulation.plan import realised as realised
from rfdsm.simulation.simulate import simulate as simulate
from rfdsm.simulation.training import simulate_training as simulate_training
