"""What can be carried away: the pictures that the package draws of the same numbers, and the numbers."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from rfdsm import datasets, plots
from rfdsm.explorer import _curves as curves, _details as details, _diagram as diagram
from rfdsm.explorer._state import State

PICTURES = ("svg", "png")
DATA = ("csv", "nc")
DPI = 200
THINGS = ("losses", "phase diagram", "spectrum", "training", "generation")
"""That there are pictures and data of."""


def exported(state: State, thing: str, suffix: str) -> io.BytesIO:
    """The content of a file. Raises ValueError for a thing or a suffix that there is not."""
    for name, value, allowed in (("thing", thing, THINGS), ("suffix", suffix, PICTURES + DATA)):
        if value not in allowed:
            raise ValueError(f"{name} = {value!r} must be one of {', '.join(allowed)}")
    data = _DATASETS[thing](state)
    return _picture(data, thing, suffix) if suffix in PICTURES else _table(data, suffix)


def _picture(data: xr.Dataset, thing: str, suffix: str) -> io.BytesIO:
    content = io.BytesIO()
    figure = np.ravel(_DRAWN[thing](data))[0].figure
    figure.savefig(content, format=suffix, dpi=DPI)
    content.seek(0)
    return content


def _table(data: xr.Dataset, suffix: str) -> io.BytesIO:
    if suffix == "csv":
        # Curves over other axes than the cells' have no place in a table of cells.
        longest = max((data[name].dims for name in data), key=len)
        cells = data[[name for name in data if set(data[name].dims) <= set(longest)]]
        return io.BytesIO(cells.to_dataframe().reset_index().to_csv(index=False).encode())
    return io.BytesIO(bytes(data.to_netcdf(engine="scipy")))


def _spectrum(state: State) -> xr.Dataset:
    found = details.spectrum(state)
    variables = {"density": (("u",), found.density, {"long_name": "eigenvalue density of U", "units": "1"})}
    atoms = {"atom_location": found.atoms[:, 0], "atom_mass": found.atoms[:, 1]}
    variables |= {name: (("atom",), value, {"long_name": name}) for name, value in atoms.items()}
    coords = {"u": ("u", found.u, {"long_name": "eigenvalue", "units": "1"})}
    return xr.Dataset(variables, coords=coords, attrs=datasets.provenance(state.problem()))


def _generation(state: State) -> xr.Dataset:
    found = details.generation(state)
    variance = (("eigenvalue",), found.variance, {"long_name": "variance of generated samples", "units": "1"})
    coords = {"eigenvalue": ("eigenvalue", found.nodes, {"long_name": "of the sample covariance", "units": "1"})}
    numbers = {"trace": found.trace, "kl": found.kl, "ridge": found.ridge}
    attrs = datasets.provenance(state.problem(), sampler=str(details.sampler(state)))
    return xr.Dataset({"variance": variance} | {k: ((), v) for k, v in numbers.items()}, coords=coords, attrs=attrs)


def _draw_spectrum(data: xr.Dataset) -> Any:
    pairs = zip(data["atom_location"].to_numpy(), data["atom_mass"].to_numpy(), strict=True)
    return plots.spectrum(data["u"], data["density"], atoms=list(pairs))


def _draw_generation(data: xr.Dataset) -> Any:
    from matplotlib.figure import Figure

    axis = Figure(figsize=(4.5, 3.4), layout="constrained").subplots()
    x = data["eigenvalue"].to_numpy()
    axis.plot(x, data["variance"], color=plots.COLOURS[0], label="generated")
    axis.plot(x, x, color="0.35", ls="--", lw=1, label="memorised: that of the samples")
    axis.set(xlabel="eigenvalue of the sample covariance", ylabel="variance")
    axis.legend(fontsize="small")
    return axis


_DATASETS: dict[str, Callable[[State], xr.Dataset]] = {
    "losses": curves.dataset,
    "phase diagram": diagram.dataset,
    "spectrum": _spectrum,
    "training": details.training_dataset,
    "generation": _generation,
}
_DRAWN: dict[str, Callable[[xr.Dataset], Any]] = {
    "losses": lambda data: plots.losses(data),
    "phase diagram": lambda data: plots.phase_diagram(data),
    "spectrum": _draw_spectrum,
    "training": lambda data: plots.training(data),
    "generation": _draw_generation,
}
