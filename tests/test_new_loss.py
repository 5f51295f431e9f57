"""docs/how_to/loss: what the page changes in a copy of the package is all that a new loss needs."""

import re
import shutil
import subprocess
import sys

import pytest

from tests.claims.ledger import ROOT

PAGE = (ROOT / "docs" / "how_to" / "loss.md").read_text()
CHECKS = """
import numpy as np, rfdsm
from rfdsm import Losses, Problem, activations, compare, predict, simulate_training, sweep
assert Losses.NAMES == ("train", "empirical_test", "test", "half", "score")
cubic = activations.polynomial([0.1, 1.0, 0.3, 0.1])
problem = Problem.grid(1.6, 1.5, [2, np.inf], 0.2, [1e-2, 1e-1], cubic)
losses = predict(problem)
np.testing.assert_allclose(losses.half, (losses.empirical_test + losses.test) / 2, rtol=1e-11)
assert predict(Problem(2.0, 8.0, 4, 0.1, 0.0, cubic)).half == np.inf
problem = problem.at(m=2)
comparison = compare(problem, 12, trials=3)
train, empirical_test, test, half, score = comparison.simulation
np.testing.assert_allclose(half, (empirical_test + test) / 2, rtol=1e-11)
assert len(comparison.plot()) == 5 and "half" in str(comparison.to_dataset().loss.values)
swept = sweep(problem, d=12, trials=3, progress=False)
np.testing.assert_allclose(swept.simulation.sel(loss="half")[0], half[0], rtol=1e-12)  # whose cells share moments
assert swept.limit.sel(loss="half").equals(swept.limit[3])
followed = simulate_training(problem, [1.0, np.inf], 12, trials=2)
np.testing.assert_allclose(followed.half, (followed.empirical_test + followed.test) / 2, rtol=1e-11)
curves = rfdsm.training_curve(problem, [1.0])
assert np.isnan(curves.half).all() and np.isfinite(curves.test).all()
"""


def changed(text):
    """The page's changes to one file: in a diff, what stays and what goes is found in the text, once."""
    for diff in re.findall(r"```diff\n(.*?)```", PAGE, re.DOTALL):
        lines = [(line[:1], line[1:]) for line in diff.splitlines()]
        before, after = ("\n".join(line for mark, line in lines if mark != other) + "\n" for other in "+-")
        if text.count(before) == 1:
            text = text.replace(before, after)
            yield text


@pytest.mark.slow
def test_a_new_loss_is_a_row_and_two_functions(tmp_path):
    shutil.copytree(ROOT / "rfdsm", tmp_path / "rfdsm", ignore=shutil.ignore_patterns("__pycache__"))
    count = 0
    for name in re.findall(r"in `(rfdsm/.*?\.py)`", PAGE):
        path = tmp_path / name
        *earlier, text = changed(path.read_text())
        count += len(earlier) + 1
        path.write_text(text)
    assert count == PAGE.count("```diff") == 5
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import jax; jax.config.update('jax_enable_x64', True)"
    subprocess.run([sys.executable, "-c", code + CHECKS], cwd=tmp_path, check=True, timeout=600)
