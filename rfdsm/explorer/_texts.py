"""The point asked about in the words of a Python program, of a configuration file and of the command line."""

import shlex

import numpy as np

from rfdsm._problem import FIELDS, PARAMETRISATION, STRUCTURE
from rfdsm._values import shown
from rfdsm.explorer._state import State

KINDS = ("Python", "TOML", "command")
_USUAL = PARAMETRISATION | {"activation": "tanh", "spectrum": "isotropic"}


def text(state: State, kind: str) -> str:
    """The state in one of KINDS. What it says runs as it is."""
    return {"Python": python, "TOML": toml, "command": command}[kind](state)


def python(state: State) -> str:
    """A program that prints the losses at the point."""
    imports, fields = ["Problem", "predict"], {name: _python_number(getattr(state, name)) for name in FIELDS}
    for name in STRUCTURE:
        words = getattr(state, name)
        if words != _USUAL[name] and name != "spectrum":
            fields[name] = repr(words)
    if "leaky_relu:" in state.activation or state.activation.startswith(("polynomial", "hermite")):
        imports.append("activations")
        fields["activation"] = _call("activations", state.activation)
    if state.spectrum != _USUAL["spectrum"]:
        imports.append("spectra")
        fields["spectrum"] = _call("spectra", state.spectrum)
    lines = ["import numpy as np"] if "np.inf" in fields.values() else []
    names = sorted(imports, key=lambda name: (name != "Problem", name))
    lines.append(f"from rfdsm import {', '.join(names)}")
    arguments = ", ".join(f"{name}={value}" for name, value in fields.items())
    return "\n".join([*lines, "", f"problem = Problem({arguments})", "print(predict(problem))", ""])


def toml(state: State) -> str:
    """A file for `rfdsm explore --config FILE`, and for every other command that takes these names."""
    lines = []
    for name in FIELDS:
        value = getattr(state, name)
        lines.append(f'{name} = "inf"' if np.isinf(value) else f"{name} = {shown(value)}")
    lines += [f'{name} = "{getattr(state, name)}"' for name in STRUCTURE]
    return "\n".join([*lines, ""])


def command(state: State) -> str:
    """A line for the shell."""
    words = ["rfdsm", "predict"]
    for name in (*FIELDS, *STRUCTURE):
        value = getattr(state, name)
        if name in STRUCTURE and value == _USUAL[name]:
            continue
        words += [f"--{name.replace('_', '-')}", value if isinstance(value, str) else shown(value)]
    return shlex.join(words) + "\n"


def _python_number(value: float) -> str:
    return "np.inf" if np.isinf(value) else shown(value)


def _call(module: str, notation: str) -> str:
    """The function call that the notation NAME:NUMBER,… stands for."""
    name, _, words = notation.partition(":")
    name = name.replace("-", "_")
    if name == "atoms":
        values, _, weights = zip(*(pair.partition("@") for pair in words.split(",")), strict=True)
        rest = f", [{', '.join(weights)}]" if weights[0] else ""
        return f"{module}.atoms([{', '.join(values)}]{rest})"
    listed = f"[{words}]" if name in ("polynomial", "hermite") else words
    return f"{module}.{name}({listed.replace(',', ', ')})"
