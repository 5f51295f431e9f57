"""Sampling: from noise to data in K steps, for theory, simulation and networks of one's own; and what came out."""

from rfdsm.sampling import metrics as metrics
from rfdsm.sampling.generate import NoiseLevel as NoiseLevel
from rfdsm.sampling.generate import generate as generate
from rfdsm.sampling.levels import geometric as geometric
from rfdsm.sampling.levels import karras as karras
from rfdsm.sampling.levels import table as table
from rfdsm.sampling.levels import uniform as uniform
from rfdsm.sampling.samplers import Sampler as Sampler
from rfdsm.sampling.samplers import Steps as Steps
from rfdsm.sampling.samplers import ddim as ddim
from rfdsm.sampling.samplers import ddpm as ddpm
from rfdsm.sampling.samplers import euler as euler
from rfdsm.sampling.samplers import get as get
from rfdsm.sampling.samplers import reverse_sde as reverse_sde
