"""Simulation: losses of real networks at finite d."""

from rfdsm.simulation.memory import memory_estimate as memory_estimate
from rfdsm.simulation.plan import realised as realised
from rfdsm.simulation.simulate import simulate as simulate
from rfdsm.simulation.training import simulate_training as simulate_training
