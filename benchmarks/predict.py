"""Theory: problems per second of `rfdsm.predict`, against three other ways to solve the same equations, in one run.

    python -m benchmarks.predict [--problems 1000000] [--rounds 5] [--activation tanh]

`predict` returns all four losses, its time includes the Gaussian moments of every (distinct) diffusion time. The others
are asked for the order parameters alone, with the moments given, started at 1 in logarithms, as one would write it by
hand: `scipy.optimize.root` point by point; optimistix's Newton and damped iteration, both vmapped and compiled (their
compilation is not counted). Where they converge, their order parameters must agree with rfdsm's. Needs `.[bench]`.
"""

import argparse
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optimistix
import scipy.optimize

import rfdsm
from rfdsm.theory._fixed_point import MAX_STEPS, solve
from rfdsm.theory._populations import cells_of, populations
from rfdsm.theory._predict import CHUNK, FEW_STEPS, solve_cells

ATOMS = rfdsm.spectra.atoms([0.05, 0.8, 4.0], [0.3, 0.5, 0.2])


def moderate_box(count: int, activation: Any, spectrum: Any, rng: np.random.Generator) -> rfdsm.Problem:
    """Ratios 0.1 to 100, ridge 1e-6 to 10, times 0.01 to 3, m from 1 to infinity."""
    psi_n, psi_p = 10 ** rng.uniform(-1, 2, (2, count))
    m = rng.choice([1, 2, 4, 16, 64, np.inf], count)
    t, ridge = 10 ** rng.uniform(-2, 0.5, count), 10 ** rng.uniform(-6, 1, count)
    return rfdsm.Problem(psi_n, psi_p, m, t, ridge, activation, spectrum)


def whole_box(count: int, activation: Any, spectrum: Any, rng: np.random.Generator) -> rfdsm.Problem:
    """Ratios 1e-3 to 1e3, ridge 0 (a tenth) or 1e-12 to 1e3, times 1e-4 to 10; a fifth within 1e-3 of p = nm or n."""
    psi_n, psi_p = 10 ** rng.uniform(-3, 3, (2, count))
    m = rng.choice([1, 2, 3, 10, 100, 1e4, np.inf], count)
    peak = np.where((rng.random(count) < 0.5) & np.isfinite(m), m, 1)
    offset = rng.uniform(-1e-3, 1e-3, count) * (rng.random(count) < 0.7)
    psi_p = np.where(rng.random(count) < 0.2, psi_n * peak * (1 + offset), psi_p)
    t = 10 ** rng.uniform(-4, 1, count)
    ridge = np.where(rng.random(count) < 0.1, 0.0, 10 ** rng.uniform(-12, 3, count))
    return rfdsm.Problem(psi_n, psi_p, m, t, ridge, activation, spectrum)


def flow_box(count: int, activation: Any, spectrum: Any, rng: np.random.Generator) -> rfdsm.Problem:
    """The same of flow matching: times 0.01 to 0.99, the velocity as target."""
    some = moderate_box(count, activation, spectrum, rng)
    ratios = some.psi_n, some.psi_p, some.m
    t = rng.uniform(0.01, 0.99, count)
    return rfdsm.Problem(*ratios, t, some.ridge, activation, spectrum, schedule="flow", target="flow")


BOXES = {
    "moderate": ("moderate box, identity covariance", moderate_box, None),
    "whole": ("whole box, identity covariance", whole_box, None),
    "moderate_flow": ("moderate box, flow matching", flow_box, None),
    "moderate_atoms": ("moderate box, three atoms", moderate_box, ATOMS),
    "whole_atoms": ("whole box, three atoms", whole_box, ATOMS),
}


def rate_of_predict(name: str, count: int, rounds: int, activation: str) -> dict[str, float]:
    """Problems per second, the median over rounds with fresh problems, and what they needed."""
    title, box, spectrum = BOXES[name]
    rng = np.random.default_rng(0)
    start = time.perf_counter()
    rfdsm.predict(box(8192, activation, spectrum, rng))
    first = time.perf_counter() - start
    seconds = []
    for _ in range(rounds):
        problem = box(count, activation, spectrum, rng)
        start = time.perf_counter()
        losses = rfdsm.predict(problem)
        seconds.append(time.perf_counter() - start)
    rates = np.sort(count / np.array(seconds))
    steps = np.percentile(losses.steps, [50, 99, 100])
    print(
        f"{title}: {np.median(rates):,.0f} per second ({rates[0]:,.0f} to {rates[-1]:,.0f}); first call {first:.1f} s\n"
        f"  converged {np.mean(losses.converged):.6%}, residual <= {np.max(losses.residual):.0e}, "
        f"Newton steps: median {steps[0]:.0f}, 99 % {steps[1]:.0f}, largest {steps[2]:.0f}"
    )
    return {
        "per_second": np.median(rates),
        "slowest": rates[0],
        "fastest": rates[-1],
        "first_call": first,
        "converged": np.mean(losses.converged),
        "residual": np.max(losses.residual),
        "median_steps": steps[0],
        "steps_99": steps[1],
        "most_steps": steps[2],
    }


def image(x: Any, P: Any, log: Any = np) -> list[Any]:
    """log F(exp x) for x = log (e_s, e_a/q, g) at identity covariance: theory's equations as one would write them."""
    psi_n, psi_p, q, ridge, a_squared, h, L, beta_psi, beta_a = P
    e_s, f, g = (log.exp(log.clip(value, -300, 300)) for value in x)
    c_s, c_a = 1 / (1 + e_s), (1 - q) / (1 + q * f)
    A = ridge + c_s * (beta_psi + q * beta_a) + c_a * beta_a
    D = c_s * L * a_squared + (q * c_s + c_a) * L * h
    Y = psi_p * g / (1 + psi_p * g * D)
    new_f = (L * h * Y + beta_a * psi_p * g) / psi_n
    new_e = (L * a_squared * Y + beta_psi * psi_p * g) / psi_n + q * new_f
    return [log.log(value) for value in (new_e, new_f, 1 / (A + D / (1 + psi_p * g * D)))]


def by_scipy(parameters: np.ndarray) -> np.ndarray:
    """Order parameters of each row by `scipy.optimize.root`; NaN where it gives up."""
    found = np.full((len(parameters), 3), np.nan)
    for k, P in enumerate(parameters):
        result = scipy.optimize.root(lambda x, P=P: np.array(image(x, P)) - x, np.zeros(3), tol=1e-12)
        if result.success:
            found[k] = np.exp(result.x)
    return found


def by_optimistix(parameters: jax.Array) -> jax.Array:
    """The same by optimistix's Newton method, vmapped."""
    solver = optimistix.Newton(rtol=1e-10, atol=1e-10)

    def one(P: jax.Array) -> jax.Array:
        def equations(x: jax.Array, _: None) -> jax.Array:
            return jnp.stack(image(x, P, jnp)) - x

        result = optimistix.root_find(equations, solver, jnp.zeros(3), max_steps=256, throw=False)
        return jnp.where(result.result == optimistix.RESULTS.successful, jnp.exp(result.value), jnp.nan)

    return jax.vmap(one)(parameters)


def by_damped_iteration(parameters: jax.Array, most: int = 20_000) -> jax.Array:
    """The same by iterating x <- (x + F(x))/2 in logarithms until the relative change is 1e-10, vmapped."""

    def one(P: jax.Array) -> jax.Array:
        def step(carry: Any) -> Any:
            x, _, count = carry
            new = (x + jnp.stack(image(x, P, jnp))) / 2
            return new, jnp.max(jnp.abs(new - x)), count + 1

        start = (jnp.zeros(3), jnp.inf, 0)
        x, change, _ = jax.lax.while_loop(lambda c: (c[1] > 1e-10) & (c[2] < most), step, start)
        return jnp.where(change <= 1e-10, jnp.exp(x), jnp.nan)

    return jax.vmap(one)(parameters)


def order_parameters(problem: rfdsm.Problem) -> tuple[np.ndarray, np.ndarray, float]:
    """Parameters of the equations above, one row per cell, rfdsm's solution (e_s, e_a/q, g), and its rate at that."""
    t = np.asarray(problem.t)
    found = cells_of(problem)
    moments = found.moments
    level = problem.asked  # data and noise in what the network sees
    q, a_squared, h = 1 / problem.m, level.a**2, level.root_h**2
    rows = (problem.psi_n, problem.psi_p, q, problem.ridge, a_squared, h, moments.mu1**2, moments.v0_squared)
    cells = jax.tree.map(jnp.asarray, (*found[:4], problem.ridge / problem.psi_p, moments))
    P, _ = populations(*cells, np.ones(1), np.ones(1))
    solver = jax.jit(solve).lower(P).compile()
    start = time.perf_counter()
    x = jax.block_until_ready(solver(P))
    rate = t.size / (time.perf_counter() - start)
    scale = np.asarray(P.unit)  # E_s, F and G carry the unit of the cell's side of p = nm
    exact = (x.E_s / problem.psi_n / scale, x.F / problem.psi_n / scale, x.G / problem.psi_p / scale)
    return np.stack([*rows, moments.beta_a], axis=1), np.stack(exact, axis=1), rate


def compare(name: str, parameters: np.ndarray, exact: np.ndarray, rate_of_predict: float) -> dict[str, float]:
    """Problems per second of another method, with its share of successes and their agreement."""
    title, solver, count, compiled = OTHERS[name]
    parameters, exact = parameters[:count], exact[:count]
    if compiled:
        solver = jax.jit(solver).lower(parameters).compile()
    start = time.perf_counter()
    found = np.asarray(solver(parameters))
    rate = len(parameters) / (time.perf_counter() - start)
    error = np.max(np.abs(found / exact - 1), axis=1)
    done = np.isfinite(error)
    print(
        f"  {title}: {rate:,.0f} per second (order parameters alone, {len(parameters)} problems); finishes "
        f"{np.mean(done):.1%}, of which {np.mean(error[done] < 1e-6):.1%} agree to 1e-6; predict is "
        f"{rate_of_predict / rate:,.0f} x as fast"
    )
    return {
        "per_second": rate,
        "problems": len(parameters),
        "finishes": np.mean(done),
        "agrees": np.mean(error[done] < 1e-6),
        "ratio": rate_of_predict / rate,
    }


OTHERS = {
    "scipy": ("scipy.optimize.root", by_scipy, 2_000, False),
    "optimistix": ("optimistix.Newton, vmapped", by_optimistix, 20_000, True),
    "damped": ("damped iteration, vmapped", by_damped_iteration, 2_000, True),
}


def rate_on_device(activation: str) -> dict[str, Any]:
    """Losses of one batch whose parameters are on the device already, and the results stay there: no transfers."""
    count = CHUNK if jax.default_backend() == "cpu" else 2**22
    problem = moderate_box(count, activation, None, np.random.default_rng(2))
    found = cells_of(problem)
    cells = jax.tree.map(jnp.asarray, (*found[:4], problem.ridge / problem.psi_p, found.moments))
    arguments = (*cells, jnp.ones(1), jnp.ones(1))
    figures: dict[str, Any] = {"problems": count}
    for name, limit in (("few", FEW_STEPS), ("enough", MAX_STEPS)):
        losses = jax.block_until_ready(solve_cells(*arguments, limit))
        start = time.perf_counter()
        for _ in range(10):
            losses = solve_cells(*arguments, limit)
        jax.block_until_ready(losses)
        rate = 10 * count / (time.perf_counter() - start)
        print(
            f"one batch of {count} on the device, moments given, one thread, at most {limit} steps: {rate:,.0f} per "
            f"second, {np.mean(losses.converged):.2%} converged"
        )
        figures[name] = {"steps": limit, "per_second": rate, "converged": np.mean(losses.converged)}
    return figures


def main() -> dict[str, Any]:
    """Prints everything and returns its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--activation", default="tanh")
    parser.add_argument("--boxes", nargs="*", default=list(BOXES), choices=BOXES)
    arguments = parser.parse_args()
    jax.config.update("jax_enable_x64", True)

    device = jax.devices()[0].device_kind
    print(f"device: {device}, float64, {arguments.activation}, {arguments.problems} problems a round")
    figures: dict[str, Any] = {"problems": arguments.problems}
    for name in arguments.boxes:
        figures[name] = rate_of_predict(name, arguments.problems, arguments.rounds, arguments.activation)
    figures["most_steps"] = max(figures[name]["most_steps"] for name in arguments.boxes)
    figures["on_device"] = rate_on_device(arguments.activation)
    figures["others"] = {}
    for name in arguments.boxes:
        title, box, spectrum = BOXES[name]
        if spectrum is not None:
            continue
        problem = box(20_000, arguments.activation, None, np.random.default_rng(1))
        parameters, exact, alone = order_parameters(problem)
        positive = problem.ridge > 0  # what the others can solve at all
        print(f"{title}, ridge > 0 (rfdsm's order parameters alone, one thread: {alone:,.0f} per second):")
        rate = figures[name]["per_second"]
        figures["others"][name] = {"alone": alone} | {
            other: compare(other, parameters[positive], exact[positive], rate) for other in OTHERS
        }
    return figures


if __name__ == "__main__":
    main()
