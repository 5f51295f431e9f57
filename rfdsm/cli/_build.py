"""From settings to what the library computes with: activation, spectrum, data and problem."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rfdsm._files import located
from rfdsm.cli._generation_options import ENDS, RULES
from rfdsm.cli._settings import Settings, number

if TYPE_CHECKING:
    from rfdsm._problem import Problem
    from rfdsm.activations import Activation
    from rfdsm.sampling import Sampler
    from rfdsm.spectra import Spectrum

DEFAULT_WIDTH = 1024  # keeps a comparison on data of a hundred columns within a minute or two
OF_DATA = "cannot be combined with data: it is a property of the rows"


def problem(settings: Settings, rows: np.ndarray | None = None) -> "Problem":
    """The grid of problems that the settings describe, with the covariance spectrum of `rows` if there are any.

    Raises ValueError for anything out of range.
    """
    from rfdsm import spectra
    from rfdsm._problem import FIELDS, Problem

    return Problem.grid(
        **{name: settings[name] for name in FIELDS},
        activation=activation(settings["activation"]),
        spectrum=spectrum(settings["spectrum"]) if rows is None else spectra.from_data(rows),
        schedule=settings["schedule"],
        target=settings["target"],
    )


def sampler(settings: Settings) -> "Sampler":
    """The sampler that the settings name, with levels given or by rule. Raises ValueError for those out of range."""
    from rfdsm import sampling, schedules
    from rfdsm._arguments import field

    if "levels" in settings:
        settings.refuse("must not be given with levels", "rule", "first", "last", "steps")
        levels = settings["levels"]
    else:
        if settings["rule"] not in RULES:
            raise ValueError(f"rule = {settings['rule']} must be one of {', '.join(RULES)}")
        schedule = settings["schedule"].partition(":")[0]
        ends = zip(("first", "last"), ENDS.get(schedule, ENDS["ou"]), strict=True)
        first, last = (settings.get(end, float(given)) for end, given in ends)
        if settings["rule"] == "table":
            levels = sampling.table(int(first), settings["steps"])
        else:
            levels = getattr(sampling, settings["rule"])(first, last, settings["steps"])
    found = sampling.get(settings["sampler"], levels)
    schedule = schedules.get(settings["schedule"])
    field("levels", found.levels[:-1], (schedule.allowed, schedule.holds))
    return found


def activation(text: str) -> "str | Activation":
    """An activation from `NAME` or `NAME:NUMBER,NUMBER,…`; plain names are left to the library.

    Raises ValueError for a name that takes no numbers and for the wrong count of them.
    """
    from rfdsm import activations

    name, colon, arguments = text.partition(":")
    if not colon:
        return text
    values = _arguments("activation", text, arguments)
    if name == "leaky_relu" and len(values) == 1:
        return activations.leaky_relu(values[0])
    if name in ("polynomial", "hermite"):
        return getattr(activations, name)(values)
    raise ValueError(f"activation {text!r} must be NAME, leaky_relu:SLOPE, polynomial:C0,C1,… or hermite:C0,C1,…")


def spectrum(text: str) -> "Spectrum":
    """A covariance spectrum from its short notation or from a .npy file of eigenvalues or of a covariance matrix.

    Raises ValueError for an unknown notation, an unreadable file and eigenvalues out of range.
    """
    from rfdsm import spectra

    if text.lower().endswith(".npy"):
        return _spectrum_from_file(located(text, "spectrum"))
    name, colon, arguments = text.partition(":")
    if name == "isotropic" and not colon:
        return spectra.isotropic()
    if name == "atoms" and colon:
        return _atoms(text, arguments)
    values = _arguments("spectrum", text, arguments) if colon else []
    if name == "isotropic" and len(values) == 1:
        return spectra.isotropic(values[0])
    if name == "power-law" and len(values) == 2:
        return spectra.power_law(values[0], values[1])
    raise ValueError(
        f"spectrum {text!r} must be isotropic, isotropic:VARIANCE, atoms:VALUE,…, atoms:VALUE@WEIGHT,…, "
        "power-law:EXPONENT,CUTOFF or FILE.npy"
    )


def data(settings: Settings) -> np.ndarray:
    """The rows named by the settings, centred and scaled; adapts the settings to them.

    d and spectrum belong to the data. A psi_n that nobody asked for is lowered until half of the rows can be held out,
    and a psi_p that nobody asked for ends at DEFAULT_WIDTH features.

    Raises ValueError if d or spectrum were given too, and for unusable data.
    """
    from rfdsm.data import standardise

    settings.refuse(OF_DATA, "d", "spectrum")
    rows = standardise(loaded(settings))
    count, settings["d"] = rows.shape
    if "psi_n" not in settings.given:
        settings["psi_n"] = min(settings["psi_n"], max(count // 2, 1) / settings["d"])
    if "psi_p" not in settings.given:
        widest = max(DEFAULT_WIDTH / settings["d"], settings["psi_p"][0])
        settings["psi_p"] = [psi_p for psi_p in settings["psi_p"] if psi_p <= widest]
    return rows


def loaded(settings: Settings) -> np.ndarray:
    """The rows named by the settings, as they are. Raises ValueError for unusable data."""
    from rfdsm.data import load

    return load(settings["data"], header=settings.get("header"), index=settings.get("index"))


def _arguments(field: str, text: str, arguments: str) -> list[float]:
    return [number(f"{field} {text!r}", word.strip()) for word in arguments.split(",")]


def _atoms(text: str, arguments: str) -> "Spectrum":
    from rfdsm import spectra

    pairs = [item.split("@") for item in arguments.split(",")]
    where = f"spectrum {text!r}"
    if {len(pair) for pair in pairs} not in ({1}, {2}):
        raise ValueError(f"{where} must give a weight to every value, as in atoms:0.5@0.25,1.5@0.75, or to none")
    values, *weights = ([number(where, word.strip()) for word in column] for column in zip(*pairs, strict=True))
    return spectra.atoms(values, *weights)


def _spectrum_from_file(path: Path) -> "Spectrum":
    from rfdsm import spectra

    try:
        array = np.load(path, allow_pickle=False)
    except OSError as error:
        raise ValueError(f"spectrum {path}: {error.strerror or error}") from None
    except (ValueError, EOFError):
        raise ValueError(f"spectrum {path}: not a .npy file of numbers") from None
    if not isinstance(array, np.ndarray):
        raise ValueError(f"spectrum {path}: not a .npy file of numbers, but an archive of such files")
    if array.ndim == 1:
        return spectra.from_eigenvalues(array)
    if array.ndim == 2:
        return spectra.from_covariance(array)
    raise ValueError(f"spectrum {path}: has shape {array.shape}, must be (d,) or (d, d)")
