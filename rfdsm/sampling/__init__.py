"""Sampling: from noise to data in K steps, for theory, simulation and networks of one's own; and what came out."""

from rfdsm.sampling import metrics as metrics
from rfdsm.sampling._generate import NoiseLevel as NoiseLevel, generate as generate
from rfdsm.sampling._samplers import (
    Sampler as Sampler,
    Steps as Steps,
    ddim as ddim,
    ddpm as ddpm,
    euler as euler,
    geometric as geometric,
    get as get,
    karras as karras,
    reverse_sde as reverse_sde,
    table as table,
    uniform as uniform,
)
