"""Real networks beside the theory, at a size of some minutes on two cores; larger ones for an accelerator.

    python -m benchmarks.networks [--d 16] [--n 128] [--widths 8 32 128 512] [--steps 10000] [--seeds 3] [--folder F]

Losses of perceptrons against width for m = 1, 4, 16 and fresh noise, where their test loss is largest in units of
n m d, and the same of random features with as many trained numbers; then samples of networks that know their level
against n: the fraction of copies and the discrepancies, beside a perfect generator and a copier.
"""

import argparse
import time
from typing import Any

import jax
import numpy as np

from rfdsm import networks, sampling
from rfdsm.networks.judge import judge


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Prints and returns the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("d", 16), ("n", 128), ("steps", 10_000), ("seeds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--widths", type=int, nargs="+", default=[8, 32, 128, 512])
    parser.add_argument("--sizes", type=int, nargs="+", default=[8, 32, 128, 512])
    parser.add_argument("--folder")
    asked = parser.parse_args(arguments)
    began = time.perf_counter()
    found = networks.study(
        networks.gaussian(asked.d), widths=asked.widths, m=[1, 4, 16, np.inf], n=asked.n, steps=asked.steps,
        seeds=asked.seeds, folder=asked.folder,
    )  # fmt: skip
    figures: dict[str, Any] = {"d": asked.d, "n": asked.n, "study_seconds": time.perf_counter() - began, "losses": {}}
    last = found.isel(step=-1).mean("network")
    for m in found.m.values:
        test, theory = last.test.sel(m=m), found.theory_test.sel(m=m)
        unit = asked.n * asked.d * (m if np.isfinite(m) else 1)
        own = {"test": test.values, "train": last.train.sel(m=m).values, "numbers": found.parameters.values}
        own["peak"] = float(found.parameters[np.argmax(test.values)]) / unit
        own["theory_peak"] = float(found.theory_parameters[np.argmax(theory.values)]) / unit
        figures["losses"][f"{m:g}"] = own
        print(
            f"m = {m:g}: test {np.round(test.values, 3)}, largest at {own['peak']:.2f} n m d ({own['theory_peak']:.2f})"
        )

    sampler, levels = sampling.ddim(sampling.geometric(3, 0.02, 20)), networks.levels.log_uniform(0.02, 3)
    law = networks.gaussian(4)
    fresh = np.asarray(law.draw(jax.random.key(9), 2000))
    start = np.random.default_rng(0).normal(size=(1000, 4)).astype(np.float32)
    figures["samples"] = {}
    for size in asked.sizes:
        rows = law.draw(jax.random.key(1), size)
        nets = [networks.mlp(4, 128, key=k) for k in range(asked.seeds)]
        training = networks.train(nets, rows, target="data", levels=levels, steps=asked.steps, batch=256, test=law)
        judged = [
            judge(np.asarray(sampling.generate(net, sampler, start, target="data")), np.asarray(rows), fresh)
            for net in training.network
        ]
        own = {
            name: {k: np.mean([getattr(getattr(j, name), k) for j in judged]) for k in judged[0].generated._fields}
            for name in judged[0]._fields
        }
        own["probability"] = float(np.mean([j.generated.sign > 0 for j in judged]))
        figures["samples"][str(size)] = own
        copied = ", ".join(f"{name} {own[name]['copied']:.3f}" for name in judged[0]._fields)
        print(f"n = {size}: copied {copied}; P(Delta > 0) {own['probability']:.2f}")
    figures["seconds"] = time.perf_counter() - began
    return figures


if __name__ == "__main__":
    main()
