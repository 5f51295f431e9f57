"""How far networks of finite size, or on real rows, are from the theory: measured by simulation."""

import dataclasses
from typing import Any

import numpy as np

from rfdsm.comparison import compare
from rfdsm.phases import fields
from rfdsm.phases.regimes import REGIMES, labels
from rfdsm.problem import Problem
from rfdsm.simulation.plan import realised
from rfdsm.theory.predict import predict

LARGEST_D = 64
LEAST_D = 8
LARGEST_N = 2**14
"""Simulated sizes stay within these and the width the caller allows."""
TRIALS = 8
HELD_OUT = 0.1
NAMES = (*("train", "empirical_test", "test"), *fields.SIGNED)
"""Quantities that are measured."""


@dataclasses.dataclass(frozen=True)
class Evidence:
    """Simulated networks beside the theory of the same sizes. Mappings from NAMES to numbers."""

    d: int
    n: int
    p: int
    trials: int
    scale: float
    """What the deviation is multiplied by at the size asked about: O(1/d) shrinks, that of real rows does not."""
    rows: int | None
    """Number of rows of the data it was measured on; None for Gaussian samples."""
    regime: str
    """Regime of the simulated means."""
    theory: dict[str, float]
    mean: dict[str, float]
    error: dict[str, float]
    """Standard error of the mean."""

    @property
    def same_size(self) -> bool:
        """Whether the very problem asked about was simulated."""
        return self.scale == 1.0 and self.rows is None

    def expected(self, name: str) -> tuple[float, float]:
        """Deviation from theory to expect at the size asked about, and its standard error."""
        return (self.mean[name] - self.theory[name]) * self.scale, self.error[name] * self.scale


def measured(problem: Problem, d: int, *, widest: int, data: np.ndarray | None, key: Any) -> Evidence | str:
    """Simulates one problem at the same ratios in a modest dimension, or on rows of data.

    Returns the evidence, or in words why there is none.
    """
    psi_n, psi_p = float(problem.psi_n), float(problem.psi_p)
    if data is None:
        size = min(d, LARGEST_D, int(widest / psi_p), int(LARGEST_N / psi_n))
        if size < min(d, LEAST_D):
            return f"networks of {LEAST_D} dimensions at these ratios are wider than {widest} features: not simulated"
        asked = problem
    else:
        size = d
        most = len(data) - max(2, int(np.ceil(HELD_OUT * len(data))))
        asked = dataclasses.replace(
            problem, psi_n=np.asarray(min(psi_n, most / d)), psi_p=np.asarray(min(psi_p, widest / d))
        )
    if np.round(float(asked.psi_n) * size) < 1 or np.round(float(asked.psi_p) * size) < 1:
        return f"at d = {size} nothing would be left of the samples or features: not simulated"
    found = compare(asked, size, trials=TRIALS, key=key, data=data)
    # Real rows have no known score, and theory for them is that of Gaussian data.
    actual = realised(asked, size) if data is None else asked
    limit = predict(actual)
    simulated = dict(zip(found.names, found.simulation[:, 0], strict=True))
    expected = dict(zip(found.names, found.theory[:, 0], strict=True))
    for values in (simulated, expected):
        values.setdefault("score", np.full(np.shape(values["test"]), np.nan))
        values["floor"] = np.broadcast_to(limit.floor, np.shape(values["test"]))
    trials = _quantities(simulated, asked.t)
    theory = _quantities(expected, asked.t)
    mean = _quantities({name: np.mean(values, axis=0) for name, values in simulated.items()}, asked.t)
    run = found.runs[0]
    return Evidence(
        d=size,
        n=int(run.n),
        p=int(run.p),
        trials=TRIALS,
        scale=1.0 if data is not None else size / d,
        rows=None if data is None else len(data),
        regime=REGIMES[int(labels({field: mean[field] for field in fields.SIGNED}))],
        theory={name: float(theory[name]) for name in NAMES},
        mean={name: float(mean[name]) for name in NAMES},
        error={name: float(np.std(trials[name], ddof=1) / TRIALS**0.5) for name in NAMES},
    )


def _quantities(losses: dict[str, Any], t: Any) -> dict[str, np.ndarray]:
    named = fields.with_excess(losses, t)
    return {name: fields.value(name, named) if name in fields.SIGNED else named[name] for name in NAMES}
