"""What pages show of benchmarks/recorded: `substitutions` is what stands for a name in {{ ... }} there (docs/conf.py).

`{{ '%.1f' % simulate.trial.seconds }}` is a figure of simulate.json, `{{ power(predict.moderate.per_second) }}` one as
2.9·10⁶. A name that no record has is an error of the site and of tests/claims.
"""

import json
from dataclasses import dataclass
from typing import Any

from benchmarks import accuracy, memorisation, networks_tables
from benchmarks.record import COMMANDS, RECORDED

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Power:
    """Writes 2600000 as 2.6·10⁶. An object that can be compared and kept between builds: Sphinx refuses functions."""

    def __call__(self, value: float, digits: int = 1) -> str:
        mantissa, exponent = f"{value:.{digits}e}".split("e")
        return f"{mantissa}·10{str(int(exponent)).translate(SUPERSCRIPTS)}"


power = Power()


def record(name: str) -> dict[str, Any]:
    """`command`, `day`, `machine` and `figures` of a benchmark."""
    return json.loads((RECORDED / f"{name}.json").read_text())


def substitutions() -> dict[str, Any]:
    """The figures of every benchmark by its name, whole tables, the machines that all was measured on, and `power`."""
    records = {name: record(name) for name in COMMANDS}
    figures = {name: found["figures"] for name, found in records.items()}
    return figures | {
        "accuracy_table": accuracy.table(figures["accuracy"]),
        "memorisation_table": memorisation.table(figures["memorisation"], figures["memorisation_500"]),
        "networks_widths": networks_tables.widths(figures["networks"]),
        "networks_times": networks_tables.times(figures["networks"]),
        "networks_power": networks_tables.power(figures["networks"]),
        "machine": "; ".join(dict.fromkeys(found["machine"] for found in records.values())),
        "power": power,
    }
