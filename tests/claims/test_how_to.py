"""docs/how_to: the code runs and prints what the pages show, the commands are accepted, the numbers hold."""

import re
import warnings
from functools import cache

import jax.numpy as jnp
import numpy as np
import pytest

from rfdsm import Problem, activations, predict, spectra
from rfdsm.cli._app import app
from tests.claims.blocks import assert_alike, blocks, commands, run_python
from tests.claims.ledger import ROOT, Claim, check, page, power

PAGES = sorted(f"docs/how_to/{path.name}" for path in (ROOT / "docs" / "how_to").glob("*.md"))
RUN = [name for name in PAGES if not name.endswith("cluster.md")]  # that one wants Slurm


def test_pages_are_there():
    assert len(PAGES) >= 7


@pytest.mark.slow
@pytest.mark.parametrize("name", RUN)
def test_python_prints_what_is_shown(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        for shown, printed in run_python(name, lambda: capsys.readouterr().out):
            assert_alike(shown, printed)


@pytest.mark.parametrize("name", PAGES)
def test_commands_parse(name):
    for command in commands(name):
        app.parse_args(command, exit_on_error=False, print_error=False)


@cache
def undeclared_kink() -> tuple[str, float]:
    """Warning and test loss of hard tanh if nobody says where it bends."""
    unknown = activations.custom(lambda u: jnp.clip(u, -1, 1), name="hard_tanh")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        test = float(predict(Problem(8, 16, 4, 0.1, 1e-3, unknown)).test)
    (warning,) = caught
    assert warning.category is activations.QuadratureWarning
    return str(warning.message), test


@pytest.mark.slow
def test_warning_of_an_undeclared_kink_is_quoted():
    assert f"QuadratureWarning: {undeclared_kink()[0]}" in page("docs/how_to/activation.md")


def change_without_declaration() -> str:
    """Relative change of the test loss; the right one is what the page prints, which is tested above."""
    (right,) = (block.shown for block in blocks("docs/how_to/activation.md") if "hard_tanh" in block.code)
    assert right
    return power(abs(undeclared_kink()[1] / float(right) - 1))


def floors_of_few_rows() -> tuple[float, float]:
    """At t = 0.1: of the rows' own covariance, and of the population's."""
    rows = np.random.default_rng(0).standard_normal((60, 400))
    sample, population = spectra.from_data(rows, sample=True), spectra.isotropic()
    return tuple(float(predict(Problem(1, 1, 1, 0.1, 1e-3, spectrum=one)).floor) for one in (sample, population))


CLAIMS = [
    Claim("docs/how_to/activation.md", "off by a factor of 1 + {}", change_without_declaration),
    Claim("docs/how_to/data.md", "make a floor of {:.2f} where it is {:.2f}", floors_of_few_rows),
]
SETTINGS = (
    "differ by more than 10⁻⁸",
    "below ridge = 10⁻⁴",
    "within 10⁻⁴ of those in float64",
    "`sweeps.status`",
)


COMPUTED = {claim.page for claim in CLAIMS}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in COMPUTED else ()) for name in PAGES]
)
def test_numbers(name):
    check(name, [claim for claim in CLAIMS if claim.page == name], SETTINGS)


def test_two_activations_of_equal_moments_have_equal_losses():
    """The sentence on what theory sees of an activation: the mean and everything but three numbers drop out."""
    first, second = activations.hermite([0, 1, 0.3]), activations.hermite([2, 1, -0.3])
    losses = [predict(Problem(2, 4, 4, 0.1, 1e-3, f)) for f in (first, second)]
    for name in losses[0].NAMES:
        np.testing.assert_allclose(getattr(losses[0], name), getattr(losses[1], name), rtol=1e-11)


def test_refusals_of_activations_are_quoted():
    text = page("docs/how_to/activation.md")
    for function in (np.tanh, lambda u: u[0], jnp.cumsum, jnp.log):
        with pytest.raises(ValueError) as caught:
            activations.custom(function, name="tanh")
        message = str(caught.value)
        quoted = re.findall(r"`(?:… |activation 'tanh' )(must [^`…]+?)(?:: …)?`", text)
        assert any(part in message for part in quoted), message
