"""Levels of the default schedule, for what is below `Problem`."""

from rfdsm import schedules, targets


def noise_at(t):
    """What a network of the default schedule and target is asked at times t."""
    return targets.asked(schedules.ou(), targets.noise(), t, 1.0)


def noise_of(h, xp):
    """The same at noise variance h, as a simulation of a target without signal has it."""
    one = xp.ones_like(h)
    return targets.Asked(xp.sqrt(1 - h), h, one, None, -one)
