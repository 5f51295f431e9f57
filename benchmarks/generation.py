"""Laws of generated samples: how many a second, whether any fails, and the same by simulation.

    python -m benchmarks.generation [--laws 1000] [--steps 20] [--random 10000] [--simulated 64]

Speed: isotropic problems of random fields, compiled before; beside it one simulated law of the same number of steps at
the dimension of --simulated, compiled before. --random: problems from psi 1e-2 to 1e3, ridge from 1e-8, all activations
but those without linear part, three targets, two spectra: how many levels are not solved, and the worst residual.
"""

import argparse
import time
from typing import Any

import numpy as np

import rfdsm
from rfdsm import sampling, spectra

ACTIVATIONS = ("tanh", "relu", "erf", "linear", "softplus", "sin")
TARGETS = ("noise", "data", "velocity")


def random_problems(count: int, ridge: float, seed: int, **structure: Any) -> rfdsm.Problem:
    """psi from 1e-2 to 1e3, m from 1 to infinity, ridge from the given one to 10."""
    rng = np.random.default_rng(seed)
    psi_n, psi_p = 10 ** rng.uniform(-2, 3, (2, count))
    m = rng.choice([1, 2, 16, np.inf], count)
    return rfdsm.Problem(psi_n, psi_p, m, 0.5, 10 ** rng.uniform(np.log10(ridge), 1, count), **structure)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Prints and returns the figures."""
    parser = argparse.ArgumentParser()
    for name, default in (("laws", 1000), ("steps", 20), ("random", 10_000), ("simulated", 64)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args(arguments)
    sampler = sampling.ddim(sampling.geometric(3, 0.05, asked.steps))
    figures: dict[str, Any] = {"laws": asked.laws, "steps": asked.steps, "simulated": asked.simulated}

    rfdsm.generated_law(random_problems(2, 1e-4, 0, target="data"), sampler)
    began = time.perf_counter()
    rfdsm.generated_law(random_problems(asked.laws, 1e-4, 1, target="data"), sampler)
    figures["seconds"] = time.perf_counter() - began
    print(f"{asked.laws} laws of {asked.steps} steps: {figures['seconds']:.2f} s")

    problem = rfdsm.Problem(4.0, 4.0, 4, 1.0, 0.03, target="data")
    options = {"samples": 1000, "d": asked.simulated}
    rfdsm.simulate_generation(problem, sampler, **options)
    began = time.perf_counter()
    rfdsm.simulate_generation(problem, sampler, **options)
    figures["simulated_seconds"] = time.perf_counter() - began
    print(f"one of them simulated at d = {asked.simulated}: {figures['simulated_seconds']:.2f} s")

    failed, worst, done = 0, 0.0, 0
    cases = [
        (activation, target, spectrum)
        for activation in ACTIVATIONS
        for target in TARGETS
        for spectrum in (None, spectra.atoms([0.0, 0.5, 2.0]))
    ]
    for seed, (activation, target, spectrum) in enumerate(cases):
        count = -(-asked.random // len(cases))
        problems = random_problems(count, 1e-8, seed, activation=activation, target=target, spectrum=spectrum)
        law = rfdsm.generated_law(problems, sampling.ddim(sampling.geometric(3, 0.05, 8)))
        failed += int(np.sum(~law.converged))
        worst = max(worst, float(np.max(law.residual)))
        done += count
    figures |= {"random": done, "failed": failed, "worst_residual": worst}
    print(f"{done} random problems: {failed} not solved, worst residual {worst:.1e}")
    return figures


if __name__ == "__main__":
    main()
