"""The state of the explorer: into the address and back, to the problem, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from rfdsm import Problem, predict, spectra
from rfdsm.explorer._presets import PRESETS
from rfdsm.explorer._state import ABSCISSAE, DRAWS, SPANS, VIEWS, State, low_rank, power_law, spectrum_text
from rfdsm.explorer._texts import KINDS, command, python, text, toml

inside = {name: st.floats(*SPANS[name]) for name in ("psi_n", "psi_p")}
inside |= {"ridge": st.floats(1e-12, 100) | st.just(0.0)}
fields = inside | dict(
    m=st.sampled_from(DRAWS),
    t=st.floats(1e-3, 5),
    activation=st.sampled_from(["tanh", "relu", "leaky_relu:0.2"]),
    spectrum=st.sampled_from(["isotropic", low_rank(0.25), power_law(1, 0.01), "atoms:0.5,1.5"]),
    target=st.sampled_from(["noise", "velocity"]),
    abscissa=st.sampled_from(ABSCISSAE),
    view=st.sampled_from(VIEWS),
    d=st.integers(32, 64),
)


@given(st.fixed_dictionaries(fields))
def test_the_address_holds_the_state_to_the_last_bit(values):
    state = State(**values)
    assert State.from_query(state.query()) == state
    assert State.from_query("?" + state.query()) == state


def test_what_the_address_leaves_out_is_usual():
    assert State.from_query("") == State()
    assert State.from_query("psi_p=64&m=inf") == State(psi_p=64, m=np.inf)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("psi_n=-1", "psi_n = -1 must be from 0.05 to 200"),
        ("psi_p=1e9", r"psi_p = 1e\+09 must be from 0.05 to 500"),
        ("m=0.5", "m = 0.5 must be an integer"),
        ("t=2&schedule=flow", "t = 2 must be from 0.001 to 0.999"),
        ("activation=nonsense", "activation must be one of tanh"),
        ("spectrum=isotropic:-1", "variance"),
        ("spectrum=/etc/secret.npy", "names a file"),
        ("d=1000", "d = 1000 must be an integer from 32 to 64"),
        ("colour=red", "'colour' is unknown"),
        ("m=1&m=2", "m is given twice"),
        ("spectrum=atoms:" + ",".join(["1"] * 65), "65 values"),
    ],
)
def test_wrong_addresses_are_refused_in_words(query, words):
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        State.from_query(query)


def test_a_new_schedule_moves_a_time_that_it_has_not():
    assert State(t=3.0).replace(schedule="flow").t == pytest.approx(0.999)
    assert State(t=0.5).replace(schedule="flow").t == 0.5


def test_of_a_problem_and_back():
    problem = Problem(4, 2, np.inf, 0.2, 0, "erf", spectra.atoms([0.5, 2], [0.25, 0.75]), "flow", "velocity")
    assert State.of(problem).problem() == problem


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (Problem([4, 8], 2, 4, 0.1, 0), "must be one concrete problem"),
        (Problem(4, 2, 4, 0.1, 0, np.cos and (lambda u: u**2)), "must be one that has a name"),
        (Problem(4, np.inf, 4, 0.1, 1), "psi_p = inf must be from"),
        (Problem(4, 2, 4, 0.1, 0, spectrum=spectra.power_law(1, 0.01, nodes=100)), "100 eigenvalues"),
    ],
)
def test_problems_without_words_are_refused(problem, words):
    with pytest.raises(ValueError, match=words):
        State.of(problem)


def test_a_spectrum_of_many_nodes_keeps_its_losses():
    spectrum = spectra.power_law(1.5, 0.01)
    again = State(spectrum=spectrum_text(spectrum)).problem()
    exact = predict(Problem(8, 16, 4, 0.1, 1e-3, spectrum=spectrum))
    assert float(predict(again).test) == pytest.approx(float(exact.test), rel=1e-9)


OTHERS = [State(), State(activation="leaky_relu:0.2", spectrum="power-law:1,0.01"), State(m=np.inf, schedule="flow")]


@pytest.mark.parametrize("state", [*OTHERS, *PRESETS.values()])
def test_texts_say_the_same_problem(state, tmp_path):
    from rfdsm._problem import FIELDS
    from rfdsm.cli import _build as build
    from rfdsm.cli._options import ExploreOptions
    from rfdsm.cli._settings import resolve

    scope: dict = {}
    exec(python(state), scope)
    assert scope["problem"] == state.problem()
    (tmp_path / "point.toml").write_text(toml(state))
    settings = resolve("explore", ExploreOptions(), str(tmp_path / "point.toml"))
    assert all(settings[name] == getattr(state, name) for name in FIELDS)
    assert build.spectrum(settings["spectrum"]) == state.problem().spectrum
    assert settings["target"] == state.target
    words = command(state).split()
    assert words[:2] == ["rfdsm", "predict"]
    assert [text(state, kind) for kind in KINDS] == [python(state), toml(state), command(state)]
