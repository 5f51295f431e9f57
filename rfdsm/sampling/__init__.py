"""Sampling: from noise to data in K steps, for theory, simulation and networks of one's own; and what came out."""

from rfdsm.sampling import metrics as metrics
from rfdsm.sampling._generate import NoiseLevel as NoiseLevel, generate as generate
from rfdsm.sampling._levels import geometric as geometric, karras as karras, table as table, uniform as uniform
from rfdsm.sampling._samplers import (
    Sampler as Sampler,
    Steps as Steps,
    ddim as ddim,
    ddpm as ddpm,
    euler as euler,
    get as get,
    reverse_sde as reverse_sde,
)
