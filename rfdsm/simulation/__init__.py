"""Simulation: losses of real networks at finite d."""

from rfdsm.simulation._generation import (
    SimulatedGeneration as SimulatedGeneration,
    simulate_generation as simulate_generation,
)
from rfdsm.simulation._memory import memory_estimate as memory_estimate
from rfdsm.simulation._network import Network as Network, fit as fit
from rfdsm.simulation._plan import realised as realised
from rfdsm.simulation._simulate import simulate as simulate
from rfdsm.simulation._training import simulate_training as simulate_training
