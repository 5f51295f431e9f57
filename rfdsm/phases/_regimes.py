"""Phase diagrams: the regime of every cell of a grid, by theory and by simulation."""

from typing import Any

import numpy as np
import xarray as xr

from rfdsm import datasets
from rfdsm._arguments import check_whole
from rfdsm._hints import Count, KeyLike
from rfdsm._problem import Problem, check_problem
from rfdsm._statistics import standard_error
from rfdsm.phases import _fields as fields
from rfdsm.phases._boundaries import boundaries, peak
from rfdsm.phases._lines import CONTINUOUS, checked_name
from rfdsm.simulation._simulate import simulate
from rfdsm.theory._predict import predict

REGIMES = ("generalisation", "noise_fitting", "memorisation")
"""Names of the codes 0, 1, 2 of `regime`; -1 where theory failed."""


def labels(signed: dict[str, Any]) -> np.ndarray:
    """Regime codes (int8) from the signed fields.

    Memorisation where its field is positive; else noise-fitting where noise_fitting > 0 and point_fitting <= 0, that is
    train < floor <= empirical_test; else generalisation. -1 where a field is NaN.
    """
    memorised = signed["memorisation"] > 0
    fitted = (signed["noise_fitting"] > 0) & (signed["point_fitting"] <= 0)
    unknown = np.isnan(signed["memorisation"]) | np.isnan(signed["noise_fitting"])
    return np.where(unknown, -1, np.where(memorised, 2, np.where(fitted, 1, 0))).astype(np.int8)


def phase_diagram(problem: Problem, along: Any = None) -> xr.Dataset:
    """Losses, signed fields and regimes over a grid of problems (docs/phases).

    Args:
        problem: one problem or a grid of them.
        along: a continuous field with an axis of its own, or several of them. Adds the boundaries of the regimes solved
            along each within its axis' range, the crest of `test`, and the papers' lines.

    Returns:
        Dataset of `datasets.predictions` with the signed fields `memorisation`, `noise_fitting`, `harmful` and
        `point_fitting` (positive inside), `memorisation_index` and `generalisation_index`; `regime` (int8 codes, names
        in its attributes), and `is_harmful`, 1 where test > 1 whatever the regime. For each `along`, over the other
        axes: `<along>_at_<field>` and `<along>_rising_<field>` (an axis more for the roots), `<along>_at_test_peak`,
        and of psi_p and psi_n where p = n, p = nm and m psi_n = 1 (`<along>_at_p_n`, `_at_p_nm`, `psi_n_at_one_draw`).

    Raises:
        ValueError: a traced problem, an unknown `along`, or one without an axis of two positive finite values.

    Examples:
        >>> import numpy as np
        >>> from rfdsm import Problem, phase_diagram
        >>> diagram = phase_diagram(Problem.grid(psi_n=8, psi_p=[1, 8, 256], m=np.inf, t=0.1, ridge=1e-3))
        >>> diagram.regime.values, diagram.is_harmful.values
        (array([0, 0, 2], dtype=int8), array([0, 0, 1], dtype=int8))
        >>> diagram.regime.attrs["flag_meanings"]  # of -1, 0, 1 and 2
        'unknown generalisation noise_fitting memorisation'
    """
    check_problem(problem)
    if problem.traced:
        raise ValueError("problem is traced: call phase_diagram outside jax.jit, grad and vmap")
    directions = (along,) if isinstance(along, str) else tuple(along or ())
    bounds = {name: _axis_range(problem, name) for name in directions}
    losses = predict(problem)
    dataset = datasets.predictions(problem, losses)
    over = datasets.dims(problem)
    named = fields.of(losses, problem)
    signed = fields.signed(named)
    for name, values in (signed | fields.indices(named)).items():
        dataset[name] = datasets.variable("", over, values, fields.LONG_NAMES[name])
    dataset = dataset.assign(_regimes(over, signed))
    dataset.attrs["title"] = "Phase diagram of denoising score matching with random features"
    for name in directions:
        dataset = dataset.assign(_curves(problem, name, bounds[name]))
    return dataset


def _regimes(over: tuple[str, ...], signed: dict[str, Any]) -> dict[str, Any]:
    flags = {"flag_values": np.array([-1, 0, 1, 2], np.int8), "flag_meanings": " ".join(("unknown", *REGIMES))}
    harmful = datasets.variable("", over, signed["harmful"] > 0, "1 where test > null")
    return {"regime": (over, labels(signed), {"long_name": "regime"} | flags), "is_harmful": harmful}


def _axis_range(problem: Problem, along: Any) -> tuple[float, float]:
    """Smallest and largest positive value on the axis of a field."""
    along = checked_name("along", along, CONTINUOUS)
    values = np.asarray(getattr(problem, along))
    values = values[(values > 0) & np.isfinite(values)]
    if along not in datasets.dims(problem) or np.unique(values).size < 2:
        raise ValueError(f"along = {along!r} must have an axis of its own with at least two positive finite values")
    return float(values.min()), float(values.max())


def _curves(problem: Problem, along: str, bounds: tuple[float, float]) -> dict[str, Any]:
    """Boundaries, the crest of test and the papers' lines, as values of `along` over the other axes."""
    over = tuple(name for name in datasets.dims(problem) if name != along)
    found: dict[str, Any] = {}
    for field, curve in boundaries(problem, along, bounds=bounds).items():
        place = (*over, f"root_{along}_{field}")
        found[f"{along}_at_{field}"] = datasets.variable("", place, curve.roots, f"{along} where {field} = 0")
        found[f"{along}_rising_{field}"] = datasets.variable("", place, curve.rising, "1: the field becomes positive")
    crest = peak(problem, along, bounds=bounds)
    place = (*over, f"root_{along}_test_peak")
    found[f"{along}_at_test_peak"] = datasets.variable("", place, crest.roots, f"{along} of the local maxima of test")
    lines = crest.lines
    psi_n, psi_p, m = lines.broadcast("psi_n", "psi_p", "m")
    places = {
        "psi_p": {"psi_p_at_p_n": psi_n, "psi_p_at_p_nm": m * psi_n},
        "psi_n": {"psi_n_at_p_n": psi_p, "psi_n_at_p_nm": psi_p / m},
    }
    for name, values in (places.get(along, {}) | {"psi_n_at_one_draw": 1 / m}).items():
        found[name] = datasets.variable("", over, values, name.replace("_at_", " at "))
    return found


def simulated_regimes(problem: Problem, d: Count, *, trials: Count = 4, key: KeyLike = 0, **options: Any) -> xr.Dataset:
    """Regimes of simulated networks, for the markers of a phase diagram.

    Args:
        problem: one problem or a grid of them.
        d: dimension.
        trials: independent repetitions, at least 2.
        options: further arguments of `simulate`.

    Returns:
        Dataset with the mean over trials of the losses and signed fields, the standard errors of the latter as
        `<field>_error`, and `regime` and `is_harmful` of these means. Errors as for `simulate`.
    """
    check_whole("trials", trials, 2)
    losses = simulate(problem, d, trials=trials, key=key, **options)
    named = fields.of(losses, problem)
    over = datasets.dims(problem)
    mean = {name: np.mean(values, axis=0) for name, values in named.items()}
    dataset = xr.Dataset(coords=datasets.coordinates(problem))
    for name in fields.NAMES:
        dataset[name] = datasets.variable(name, over, mean[name])
    signed = fields.signed(mean)
    for field, values in signed.items():
        error = standard_error(fields.value(field, named))
        dataset[field] = datasets.variable("", over, values, fields.LONG_NAMES[field])
        dataset[f"{field}_error"] = datasets.variable("", over, error, f"standard error of {field}")
    dataset = dataset.assign(_regimes(over, signed))
    seeds = [] if losses.run is None else losses.run.seeds.tolist()
    dataset.attrs = datasets.provenance(problem, d=int(losses.run.d if losses.run else d), trials=trials, seeds=seeds)
    return dataset
