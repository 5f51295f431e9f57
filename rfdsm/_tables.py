"""Results as rich tables: one row per cell, the fields that vary first. What is fixed stands in the title."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from rfdsm._statistics import standard_error
from rfdsm.extrapolation import relative, z_score
from rfdsm.model import RANDOM_FEATURES, Model

MOST_CELLS = 25
"""Of a table with a row for each."""


def cells(
    problem: Any, columns: Mapping[str, Sequence[str]], caption: str = "", model: Model = RANDOM_FEATURES
) -> Table:
    """One row per cell of the problem, with these columns, as texts in the order of the cells."""
    fields, varying, fixed = _fields(problem, model, lambda values: values.ndim > 0)
    structure = [f"{name} {text}" for name, text in model.structure(problem).items()]
    table = Table(title=", ".join([*([caption] if caption else []), *fixed, *structure]), title_justify="left")
    shown = {name: [f"{value:g}" for value in fields[name].ravel()] for name in varying} | dict(columns)
    for name in shown:
        table.add_column(name, justify="right")
    for row in zip(*shown.values(), strict=True):
        table.add_row(*row)
    return table


Row = tuple[str, np.ndarray, np.ndarray, np.ndarray, int | None]
"""Of a dimension: its name, and theory, mean and standard error, arrays of shape (names, *grid), and the d in whose
inverse the deviation is measured, or None for z."""


def compared(problem: Any, model: Model, names: Sequence[str], rows: Sequence[Row], trials: int, summary: str) -> Table:
    """One row per cell and dimension, theory and simulation in each."""
    fields, varying, fixed = _fields(problem, model, lambda values: values.size > 1)
    structure = [
        {"activation": text, "spectrum": f"covariance {text}"}.get(name, f"{name} {text}")
        for name, text in model.structure(problem).items()
    ]
    table = Table(title=", ".join([*fixed, *structure, f"{trials} trials"]), caption=summary)
    measured = {"z" if row[-1] is None else "deviation" for row in rows}
    below = " or ".join(sorted(measured))
    for name in (*varying, "d"):
        table.add_column(name, justify="right")
    for name in names:
        table.add_column(f"{name.replace('_', ' ')}\ntheory · simulation\n{below} · relative", justify="right")
    shape = model.shape(problem)
    for cell in np.ndindex(*shape):
        for d, theory, mean, error, unit in rows:
            texts = [_cell_text(theory[i][cell], mean[i][cell], error[i][cell], unit) for i in range(len(names))]
            table.add_row(*[f"{fields[name][cell]:g}" for name in varying], d, *texts)
        if cell and cell[-1] == shape[-1] - 1:
            table.add_section()
    return table


def mean_and_error(values: Any, trials: int) -> list[str]:
    """mean ± standard error over the leading axis, for every cell."""
    whole = np.asarray(values, float).reshape(trials, -1)
    means = whole.mean(axis=0)
    if trials == 1:
        return [f"{mean:.4f}" for mean in means]
    errors = standard_error(whole)
    return [f"{mean:.4f} ± {error:.4f}" for mean, error in zip(means, errors, strict=True)]


def _fields(problem: Any, model: Model, varies: Any) -> tuple[dict[str, np.ndarray], list[str], list[str]]:
    """All fields over the grid, the names of those that vary, and the others in words."""
    asked = model.asked(problem)
    fields = {name: np.broadcast_to(values, model.shape(problem)) for name, values in asked.items()}
    varying = [name for name, values in asked.items() if varies(values)]
    varying = [name for name in varying if model.follows.get(name) not in varying]
    rest = [name for name in asked if name not in varying and not (name == "smoothing" and np.all(asked[name] == 0))]
    fixed = [f"{name} = {fields[name].flat[0]:g}" for name in rest if asked[name].size == 1]
    return fields, varying, fixed


def _cell_text(theory: float, mean: float, error: float, d: int | None) -> str:
    """Two lines: theory and simulation; the deviation in units of 1/d, or z, and relative to theory."""
    deviation = np.asarray(np.nan if np.isinf(theory) else mean - theory)
    z, share = float(z_score(deviation, np.asarray(error))), float(relative(deviation, np.asarray(theory)))
    size = f"z = {z:+.1f}"
    if d is not None:
        scaled = _with_error(float(deviation) * d, error * d)
        size = f"{scaled if scaled.startswith('-') else '+' + scaled}/d"
    below = ("–" if np.isnan(value) else text for value, text in ((z, size), (share, f"{share:+.1%}")))
    return f"{_short(theory)} · {_with_error(mean, error)}\n{' · '.join(below)}"


def _short(value: float) -> str:
    """Four decimals, or three digits where that would show few of them."""
    return f"{value:.4f}" if abs(value) >= 0.01 else f"{value:.3g}"


def _with_error(value: float, error: float) -> str:
    """0.8123(45): the error in units of the last digits shown; written out where these would be too many."""
    if not (np.isfinite(error) and np.isfinite(value)) or error <= 0:
        return _short(value)
    digits = int(max(1 - np.floor(np.log10(error)), 0))
    if digits > 9:
        return f"{value:.1e} ± {error:.0e}"
    return f"{value:.{digits}f}({error * 10**digits:.0f})"


def simulated_generation(law: Any, found: Any, groups: int = 3) -> Table:
    """Theory's law beside what networks generate, mean ± standard error over trials; variances in groups of S."""
    trials = len(found.kl)
    title = f"simulation, d = {found.run.d}, {trials} trials"
    table = Table(title=title, title_justify="left")
    for name in ("", "theory", "simulation", "null"):
        table.add_column(name, justify="right" if name else "left")

    def told(values: np.ndarray) -> str:
        return f"{np.mean(values):.4g} ± {standard_error(values):.2g}"

    order = np.argsort(law.nodes)
    share, variance = np.asarray(law.weights)[order], np.asarray(law.variance)[order]
    place = np.minimum((np.cumsum(share) - share / 2) * groups, groups - 1e-9).astype(int)
    for k, simulated in enumerate(found.groups(groups)[1].T):
        expected = np.sum((share * variance)[place == k]) / np.sum(share[place == k])
        table.add_row(f"variance, group {k + 1} of {groups} of S", f"{expected:.4g}", told(simulated))
    table.add_row("trace", f"{float(law.trace):.4g}", told(found.trace))
    for name in ("kl", "reverse_kl"):
        words = name.replace("_", " ")
        along = told(getattr(found, f"{name}_along"))
        table.add_row(f"{words}, mean over networks", f"{float(getattr(law, name)):.4g}", along)
        table.add_row(f"{words}, these networks", "", told(getattr(found, name)))
    table.add_row("copied (d1/d2 < 1/3)", "0", told(found.copied), told(found.copied_null))
    table.add_row("nearest/sqrt(d), median", "", told(found.nearest[:, 1]), told(found.nearest_null[:, 1]))
    table.add_row("P(Δ > 0)", "", f"{found.probability:.3g} ± {found.probability_error:.2g}")
    return table


def best_targets(problem: Any, model: Model, diagram: Any, caption: str) -> Table:
    """Distances of every cell by target, the least of them named; of many cells, how often each target is best."""
    names = [str(name) for name in diagram["target"].values]
    distance = str(diagram["least"].attrs["distance"])
    codes = np.ravel(diagram["best_target"])
    values = {name: np.ravel(diagram[distance].sel(target=name)) for name in names}
    ridges = {name: np.ravel(diagram["best_ridge"].sel(target=name)) for name in names if "best_ridge" in diagram}
    if codes.size <= MOST_CELLS:
        columns = {name: [f"{value:.6g}" for value in values[name]] for name in names}
        columns |= {f"ridge of {name}": [f"{value:.3g}" for value in ridges[name]] for name in ridges}
        columns["best"] = [names[code] if code >= 0 else "–" for code in codes]
        return cells(problem, columns, caption, model)
    table = Table(title=f"{caption}, {codes.size} cells", title_justify="left")
    titles = ("target", "is best in", "least", "median", "largest", *(["median ridge"] if ridges else []))
    for title in titles:
        table.add_column(title, justify="left" if title == "target" else "right")
    for code, name in enumerate(names):
        known = values[name][np.isfinite(values[name])]
        ends = [f"{x:.4g}" for x in np.quantile(known, [0, 0.5, 1])] if known.size else ["–"] * 3
        own = [f"{np.median(ridges[name]):.3g}"] if ridges else []
        table.add_row(name, f"{np.mean(codes == code):.1%}", *ends, *own)
    return table
