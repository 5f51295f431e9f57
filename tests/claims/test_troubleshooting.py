"""docs/troubleshooting.md: the messages it quotes are the messages one gets."""

import re
import warnings

import jax
import numpy as np
import pytest

from rfdsm import Problem, activations, boundary, compare, data, predict, simulate, theory
from rfdsm.cli import main
from rfdsm.simulation._plan import plan
from tests.claims.ledger import page

PAGE = "docs/troubleshooting.md"
ROWS = np.random.default_rng(0).standard_normal((500, 10))
DAMAGED = ROWS.copy()
DAMAGED[[1, 7, 8], [4, 7, 0]] = np.nan


def problem(**fields):
    return Problem(**(dict(psi_n=2, psi_p=2, m=4, t=0.1, ridge=1e-3) | fields))


def planned(some, d, **options):
    request = dict(trials=1, key=0, data=None, dtype="float64", devices=None, memory_limit=None)
    return plan(some, d, **(request | options))


REFUSED = {
    "out of range": lambda: problem(psi_n=0),
    "draws": lambda: problem(m=2.5),
    "shapes": lambda: problem(psi_n=[1, 2], psi_p=[1, 2, 3]),
    "two infinities": lambda: problem(psi_n=np.inf, psi_p=np.inf),
    "infinite simulation": lambda: planned(problem(psi_p=np.inf), 10),
    "no feature": lambda: planned(problem(psi_p=0.01), 10),
    "memory": lambda: planned(problem(psi_p=8), 4000, memory_limit=int(25e9)),
    "single precision": lambda: planned(problem(ridge=0), 10, dtype="float32"),
    "one trial": lambda: compare(problem(), 10, trials=1),
    "rows": lambda: planned(problem(psi_n=80), None, data=ROWS),
    "equal rows": lambda: data.standardise(np.ones((5, 3))),
    "not finite": lambda: data.standardise(DAMAGED),
    "traced simulation": lambda: jax.jit(lambda ridge: simulate(problem(ridge=ridge), 10).test)(0.1),
    "traced throw": lambda: jax.jit(lambda ridge: predict(problem(ridge=ridge), throw=True).test)(0.1),
    "small time": lambda: theory.limits.small_time(problem(psi_p=4, ridge=0)),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusal_is_quoted(case):
    with pytest.raises(ValueError) as caught:
        REFUSED[case]()
    assert f"`{caught.value}`" in page(PAGE)


def bent():
    activations.get(lambda u: jax.numpy.clip(u, -1, 1)).check(0.8, 0.2)


WARNED = {
    "few dimensions": lambda: planned(problem(activation="relu"), 4),
    "no boundary": lambda: boundary(problem(psi_n=8, m=np.array([1, 4, 16, np.inf])), "memorisation"),
    "kink": bent,
}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.slow if case == "no boundary" else ()) for case in WARNED]
)
def test_warning_is_quoted(case):
    """An ellipsis of the page stands for anything."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        WARNED[case]()
    inline = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", page(PAGE)))
    quoted = [re.escape(text).replace("…", ".*") for text in inline if len(text) > 40]
    for warning in caught:
        assert any(re.fullmatch(text, str(warning.message)) for text in quoted), warning.message
    assert caught


def test_commands_refuse_as_quoted(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.toml").write_text("widht = 3\n")
    assert main(["compare", "--data", "digits", "--d", "10"]) == main(["compare", "--config", "study.toml"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert f"`{first.removeprefix('rfdsm: error: ')}`" in page(PAGE)
    assert "`unknown key 'widht'; rfdsm compare allows …`" in page(PAGE) and "unknown key 'widht'; rfdsm" in second


@pytest.mark.slow
def test_parameters_closed_over_cannot_be_differentiated():
    def loss(scale):
        return predict(problem(activation=lambda u: jax.numpy.tanh(scale * u))).test

    with pytest.raises(jax.errors.TracerArrayConversionError):
        jax.grad(loss)(1.0)
