"""The citations follow from the problem, and agree with CITATION.cff."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest

import rfdsm
from rfdsm import Problem, _references as references, citation, linear, spectra

CFF = (Path(__file__).parents[1] / "CITATION.cff").read_text()
GEORGE, URFIN, BONNAIRE, HALDER = "2502.00336", "2609.26392", "2505.17638", "2411.17807"


def cited(*args, **options):
    return re.findall(r"eprint = \{(.*?)\}", citation(*args, **options))


@pytest.mark.parametrize(
    ("m", "spectrum", "training", "papers"),
    [
        (1, None, False, [GEORGE]),
        (np.inf, None, False, [GEORGE]),
        (4, None, False, [GEORGE, URFIN]),
        ([1, 2, np.inf], None, False, [GEORGE, URFIN]),
        (1, spectra.isotropic(2), False, [GEORGE]),
        (np.inf, spectra.atoms([0.5, 1.5]), False, [GEORGE, BONNAIRE]),
        (1, None, True, [GEORGE, BONNAIRE]),
        (4, spectra.power_law(1.0, 0.1), True, [GEORGE, URFIN, BONNAIRE]),
    ],
)
def test_papers_follow_from_the_problem(m, spectrum, training, papers):
    assert cited(Problem(2, 2, m, 0.1, 1e-3, spectrum=spectrum), training=training) == papers


def test_the_linear_denoiser_has_its_own():
    assert cited(linear.Problem(2.0, 1.0)) == [HALDER]


def test_agrees_with_the_citation_file():
    for entry in (references.LEARNING_CURVES, references.FINITE_M, references.DYNAMICS, references.ONE_STEP):
        title, number, year = (re.search(rf"{key} = \{{+(.*?)\}}+,", entry)[1] for key in ("title", "eprint", "year"))
        section = CFF[CFF.index(title) : CFF.index(f"https://arxiv.org/abs/{number}")]
        assert f"year: {year}" in section and f"arXiv:{number}" in section
        authors = re.search(r"author = \{(.*)\},\n", entry)[1].replace("{\\'e}", "é").split(" and ")
        assert re.findall(r"family-names: (\w+)", section) == [author.split(",")[0] for author in authors]
    assert f"version = {{{rfdsm.__version__}}}" in references.SOFTWARE and f"version: {rfdsm.__version__}" in CFF


def test_bad_training_and_traced_problems_are_refused():
    with pytest.raises(ValueError, match="training = 1 must be True or False"):
        citation(Problem(2, 2, 1, 0.1, 1e-3), training=1)
    with pytest.raises(ValueError, match="concrete"):
        jax.grad(lambda ridge: len(citation(Problem(2, 2, 1, 0.1, ridge))) * ridge)(1e-3)
