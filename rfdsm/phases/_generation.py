"""Which target generates best: the law of samples for several of them over a grid, `generation_diagram`."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from rfdsm import datasets
from rfdsm._generated_model import GeneratedSamples
from rfdsm._hints import Number
from rfdsm._problem import Problem
from rfdsm._values import one_line
from rfdsm.phases._best_target import by_target
from rfdsm.sampling import Sampler
from rfdsm.theory._generation import generated_law

Progress = Callable[[int, int], Any]
COMPARED = ("noise", "data", "velocity")
DISTANCES = ("kl", "reverse_kl", "kl_at_end", "reverse_kl_at_end")
QUANTITIES = (*DISTANCES, "trace")
RIDGES = np.geomspace(1e-5, 10.0, 13)
"""Among which the best one is looked for first."""
REFINED = 3
"""Vertices of parabolas, in log ridge, that are tried after that."""


def generation_diagram(
    problem: Problem,
    sampler: Sampler,
    *,
    targets: Any = None,
    distance: str = "kl",
    best_ridge: Any = False,
    start: Number | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Divergences of the generated law from the data's, for several targets over a grid, and the target with the least.

    Args:
        problem: a grid of problems; its target and t are not used.
        sampler: from `rfdsm.sampling`.
        targets: names or objects, two or more; default noise, data, velocity.
        distance: what is least for the best target: "kl", "reverse_kl", "kl_at_end" or "reverse_kl_at_end".
        best_ridge: whether every target has in every cell the ridge, one for all levels, that makes the distance
            least, in place of the problem's; to some 1e-3 in the ridge, between 1e-5 and 10.
        start: as in `generated_law`.
        progress: called with (laws solved, laws in all).

    Returns:
        Dataset over target and the axes of the grid: `kl`, `reverse_kl`, `kl_at_end`, `reverse_kl_at_end`, `trace`,
        `converged`, with best_ridge `best_ridge` and `at_bound`; and over the grid `best_target` (codes in the order of
        the targets, -1 where none is known) and `least`, its distance.

    Raises:
        ValueError: as `generated_law`; fewer than two targets; an unknown distance.

    Source: docs/generation, section 8 (this project's own).

    Examples:
        >>> from rfdsm import Problem, generation_diagram, sampling, spectra
        >>> sampler = sampling.ddim(sampling.geometric(3, 0.1, steps=8))
        >>> spectrum = spectra.atoms([0.3, 1.7], [0.5, 0.5])
        >>> diagram = generation_diagram(Problem.grid([1, 16], [0.5, 8], 4, 1, 0.03, spectrum=spectrum), sampler)
        >>> diagram.kl.dims, diagram.best_target.attrs["flag_meanings"]
        (('target', 'psi_n', 'psi_p'), 'unknown noise data velocity')
        >>> diagram.best_target.values
        array([[2, 2],
               [1, 1]], dtype=int8)
    """
    if distance not in DISTANCES:
        raise ValueError(f"distance = {one_line(distance)} must be one of {', '.join(DISTANCES)}")
    if not isinstance(best_ridge, bool | np.bool_):
        raise ValueError(f"best_ridge = {one_line(best_ridge)} must be True or False")
    model = GeneratedSamples.checked(sampler, 2, "independent", start)
    problem = model.without_times(problem)
    if best_ridge and np.size(problem.ridge) > 1:
        raise ValueError(f"ridge = {one_line(problem.ridge)} must be one number with best_ridge, which looks for it")
    rivals = by_target(problem, COMPARED if targets is None else targets)
    cells, rounds = int(np.prod(problem.shape)), (len(RIDGES) + REFINED + 1 if best_ridge else 1)
    done, total = 0, len(rivals) * rounds * cells

    def solved(asked: Problem) -> Any:
        nonlocal done
        law = generated_law(asked, sampler, start=start)
        done += int(np.prod(asked.shape))
        if progress is not None:
            progress(done, total)
        return law

    found: list[dict[str, np.ndarray]] = []
    for rival in rivals.values():
        values = {}
        if best_ridge:
            values["best_ridge"], values["at_bound"] = _best(rival, distance, solved)
            rival = rival.at(ridge=values["best_ridge"])
        law = solved(rival)
        found.append(values | {name: np.asarray(getattr(law, name)) for name in (*QUANTITIES, "converged")})
    stacked = {name: np.stack([values[name] for values in found]) for name in found[0]}
    rated = np.where(np.isfinite(stacked[distance]), stacked[distance], np.inf)
    known = np.any(np.isfinite(rated), axis=0)
    names = list(rivals)
    over = datasets.dims(problem, model)
    whole = xr.Dataset(
        {name: datasets.variable(name, ("target", *over), values) for name, values in stacked.items()},
        coords=datasets.coordinates(problem, model) | {"target": names},
        attrs=datasets.provenance(problem, model, distance=distance, targets=names),
    )
    codes = np.where(known, np.argmin(rated, axis=0), -1).astype(np.int8)
    whole["best_target"] = datasets.variable("best_target", over, codes)
    whole["best_target"].attrs |= {
        "flag_values": np.arange(-1, len(names), dtype=np.int8),
        "flag_meanings": " ".join(("unknown", *names)),
    }
    least = np.where(known, np.min(rated, axis=0), np.nan)
    whole["least"] = datasets.variable("least", over, least)
    whole["least"].attrs["distance"] = distance
    settings = json.loads(whole.attrs["configuration"])
    if best_ridge:  # not that of the problem
        settings["ridge"] = "best"
        whole = whole.drop_vars("ridge", errors="ignore")
    title = "Divergences of generated samples from the data, per dimension"
    return whole.assign_attrs(configuration=json.dumps(settings), title=title)


def _best(problem: Problem, distance: str, solved: Callable[[Problem], Any]) -> tuple[np.ndarray, np.ndarray]:
    """The ridge of every cell with the least distance, and whether it is an end of the range."""
    shape, names = problem.shape, ("psi_n", "psi_p", "m")
    whole = dict(zip(names, problem.broadcast(*names), strict=True))

    def rated(ridges: np.ndarray) -> np.ndarray:
        """Of ridges with axes before those of the grid."""
        law = solved(problem.at(**whole, ridge=ridges))
        value = np.asarray(getattr(law, distance))
        return np.where(np.isfinite(value), value, np.inf)

    start = np.broadcast_to(RIDGES.reshape(-1, *[1] * len(shape)), (len(RIDGES), *shape))
    x, y = np.log(start), rated(start)
    for _ in range(REFINED):
        order = np.argsort(x, axis=0)
        x, y = (np.take_along_axis(values, order, axis=0) for values in (x, y))
        middle = np.clip(np.argmin(y, axis=0), 1, len(x) - 2)[None]
        (a, b, c), (fa, fb, fc) = (
            [np.take_along_axis(values, middle + step, axis=0)[0] for step in (-1, 0, 1)] for values in (x, y)
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            left, right = (b - a) * (fb - fc), (b - c) * (fb - fa)
            vertex = b - ((b - a) * left - (b - c) * right) / (2 * (left - right))
        # No parabola, or one that leads out: the middle of the wider side.
        wider = np.where(b - a > c - b, (a + b) / 2, (b + c) / 2)
        inside = np.isfinite(vertex) & (vertex > a) & (vertex < c) & (np.abs(vertex - b) > 1e-6)
        vertex = np.where(inside, vertex, wider)
        x, y = np.concatenate([x, vertex[None]]), np.concatenate([y, rated(np.exp(vertex))[None]])
    ridge = np.exp(np.take_along_axis(x, np.argmin(y, axis=0)[None], axis=0)[0])
    bound = (ridge <= RIDGES[0] * 1.0001) | (ridge >= RIDGES[-1] * 0.9999)
    return ridge, bound
