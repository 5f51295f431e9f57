"""Which target generates best: values of the law, networks that output nothing, best ridges, pictures, refusals."""

import numpy as np
import pytest

from rfdsm import Problem, generated_law, generation_diagram, plots, sampling, spectra
from rfdsm.cli import main

SAMPLER = sampling.ddim(sampling.geometric(2, 0.1, 4))
TWO = spectra.atoms([0.3, 1.7], [0.5, 0.5])


@pytest.mark.slow
def test_it_holds_the_law_of_every_target():
    problem = Problem.grid([1.0, 4.0], [0.5, 2.0, 8.0], 4, 1.0, 0.03, spectrum=TWO)
    diagram = generation_diagram(problem, SAMPLER)
    laws = {}
    for name in ("noise", "data", "velocity"):
        own = Problem.grid([1.0, 4.0], [0.5, 2.0, 8.0], 4, 1.0, 0.03, spectrum=TWO, target=name)
        laws[name] = generated_law(own, SAMPLER)
        for quantity in ("kl", "reverse_kl", "trace"):
            np.testing.assert_array_equal(diagram[quantity].sel(target=name), getattr(laws[name], quantity))
    values = np.stack([law.kl for law in laws.values()])
    np.testing.assert_array_equal(diagram["best_target"], np.argmin(values, axis=0))
    np.testing.assert_array_equal(diagram["least"], np.min(values, axis=0))
    assert np.unique(diagram["best_target"]).size > 1, "a diagram of one target shows no choice"
    axes = plots.best_target(diagram)
    assert {text.get_text() for text in axes.texts} <= {"noise", "data", "velocity"} and axes.collections
    reverse = generation_diagram(problem, SAMPLER, distance="reverse_kl")
    np.testing.assert_array_equal(reverse["least"], np.min([law.reverse_kl for law in laws.values()], axis=0))


@pytest.mark.slow
def test_isotropic_data_need_no_network():
    """At an infinite ridge the network outputs nothing: then every step of ddim, target velocity, multiplies by
    a a' + sqrt(h h'), and the variance of samples is the square of their product."""
    a = np.exp(-np.array(SAMPLER.levels))
    h = 1 - a**2
    variance = np.prod(a[:-1] * a[1:] + np.sqrt(h[:-1] * h[1:])) ** 2
    found = generation_diagram(Problem([1.0, 4.0], 2.0, 4, 1.0, 1e8), SAMPLER)
    expected = (variance - 1 - np.log(variance)) / 2
    np.testing.assert_allclose(found["kl"].sel(target="velocity"), expected, rtol=1e-6)
    # the data target's output is an estimate of the data: of nothing, the noise's amplitude is kept
    np.testing.assert_allclose(found["trace"].sel(target="data"), h[-1] / h[0], rtol=1e-6)


@pytest.mark.slow
def test_best_ridge():
    """One number for all levels: the least of many, spread over more than the range that is searched."""
    diagram = generation_diagram(
        Problem([1.0, 4.0], 2.0, 4, 1.0, 1.0, spectrum=TWO), SAMPLER, targets=["data", "velocity"], best_ridge=True
    )
    ridges = np.geomspace(1e-6, 100.0, 321)
    for name in ("data", "velocity"):
        laws = generated_law(Problem.grid([1.0, 4.0], 2.0, 4, 1.0, ridges, spectrum=TWO, target=name), SAMPLER)
        for values, psi_n in zip(np.squeeze(laws.kl), (1.0, 4.0), strict=True):
            cell, best = diagram.sel(target=name, psi_n=psi_n), ridges[np.argmin(values)]
            assert bool(cell["at_bound"]) == (not 1e-5 < best < 10)
            if not cell["at_bound"]:
                np.testing.assert_allclose(cell["kl"], values.min(), rtol=2e-4)
                np.testing.assert_allclose(cell["best_ridge"], best, rtol=0.05)
    assert np.any(diagram["at_bound"] == 0)
    axes = plots.best_target(diagram)
    assert [line.get_label() for line in axes.lines] == ["data", "velocity"]


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (dict(targets=["data"]), "two or more"),
        (dict(distance="far"), "distance = 'far' must be one of"),
        (dict(best_ridge=1), "best_ridge = 1 must be True or False"),
        (dict(problem=Problem(1, 2, 2, 1.0, [0.1, 1.0]), best_ridge=True), "ridge = .* must be one number"),
        (dict(problem=Problem(1, 2, 2, [1.0, 2.0], 0.1)), "t = .* must be one number"),
        (dict(problem=Problem(1, 2, 2, 1.0, 0.0)), "ridge = 0"),
    ],
)
def test_refusals(more, text):
    with pytest.raises(ValueError, match=text):
        generation_diagram(**(dict(problem=Problem(1, 2, 2, 1.0, 0.1), sampler=SAMPLER) | more))


def test_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = "generate --psi-n 1 4 --psi-p 2 --levels 2 0.5 0.1 --targets data velocity"
    assert main([*words.split()]) == 0
    assert "best" in capsys.readouterr().out and (tmp_path / "rfdsm-generate" / "generation.png").is_file()
    assert main(["plot", "rfdsm-generate/generation.nc", "--output", "again.png"]) == 0
    for more, text in (
        ("--targets data velocity --simulate", "simulate must not be given with targets"),
        ("--targets data velocity --target data", "target must not be given with targets"),
        ("--targets data velocity --best-ridge --ridge 1", "ridge must not be given with best_ridge"),
        ("--best-ridge", "best_ridge needs targets"),
    ):
        assert main(["generate", *more.split()]) == 2
        assert text in capsys.readouterr().err
