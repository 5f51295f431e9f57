"""docs/how_to: the code runs and prints what the pages show, the commands are accepted."""

import re
import warnings

import jax.numpy as jnp
import numpy as np
import pytest

from rfdsm import Problem, activations, predict
from rfdsm.cli._app import app
from tests.claims.blocks import assert_alike, commands, run_python
from tests.claims.ledger import ROOT, page

PAGES = sorted(f"docs/how_to/{path.name}" for path in (ROOT / "docs" / "how_to").glob("*.md"))
RUN = [name for name in PAGES if not name.endswith("cluster.md")]  # that one wants Slurm


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


@pytest.mark.slow
def test_warning_of_an_undeclared_kink_is_quoted():
    """Of hard tanh, if nobody says where it bends."""
    unknown = activations.custom(lambda u: jnp.clip(u, -1, 1), name="hard_tanh")
    with pytest.warns(activations.QuadratureWarning) as caught:
        predict(Problem(8, 16, 4, 0.1, 1e-3, unknown))
    assert f"QuadratureWarning: {caught[0].message}" in page("docs/how_to/activation.md")


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
