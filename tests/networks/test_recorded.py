"""What docs/networks.md says in words of the recorded figures is true of them."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FIGURES = json.loads((ROOT / "benchmarks" / "recorded" / "networks.json").read_text())["figures"]


@pytest.mark.parametrize("name", ["gaussian", "digits"])
def test_words(name):
    widths, times, power = (FIGURES[name][part] for part in ("widths", "times", "power"))
    draws, losses = ("m_1", "m_4", "m_16", "m_inf"), ("train", "test", "theory_test")
    last = {m: {loss: widths[m][loss][-1] for loss in losses} for m in draws}
    trained = [cell["train"] for cell in last.values()]
    assert trained == sorted(trained)
    assert (
        min(last, key=lambda m: last[m]["test"]) == "m_inf" and min(last, key=lambda m: last[m]["theory_test"]) == "m_1"
    )
    if name == "gaussian":
        assert last["m_1"]["test"] == max(widths["m_1"]["test"]) and widths["m_1"]["numbers_over_nmd"][-1] > 100
        assert widths["m_inf"]["empirical_test"][-1] < widths["floor"] < widths["m_inf"]["test"][-1]
    else:
        assert widths["m_1"]["test"][1] == max(widths["m_1"]["test"]) and 0.7 < widths["m_1"]["peak"] < 1.3
        assert widths["m_4"]["test"] == sorted(widths["m_4"]["test"], reverse=True)
        assert all(abs(widths[m]["test"][0] / widths[m]["theory_test"][0] - 1) < 0.02 for m in ("m_4", "m_16", "m_inf"))
    sizes = [cell for key, cell in times.items() if key != "step"]
    copied = [cell["end_at"]["copied"] for cell in sizes]
    assert copied == sorted(copied, reverse=True) and copied[-1] < 0.01
    for cell in sizes:
        assert max(cell["best_step"]) < times["step"][-1]
        assert cell["stopped_at"]["copied"] < 0.1 * cell["end_at"]["copied"] or cell["end_at"]["copied"] < 0.01
        assert cell["stopped_at"]["to_training"] > cell["end_at"]["to_training"]
        assert (
            cell["end_at"]["probability"] == 0 == cell["copier"]["probability"] and cell["perfect"]["probability"] == 1
        )
        assert cell["end_at"]["position"] < 0
    for found in power.values():
        assert all(value == (0 if statistic == "sign" else 1) for statistic, value in found.items())
