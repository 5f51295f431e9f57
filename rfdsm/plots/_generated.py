"""The law of generated samples: variances, their spectrum, and the path to them."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rfdsm._statistics import standard_error
from rfdsm.plots._style import COLOURS, abscissa, axis_label, checked, fixed, legend, log_x, one_each, pieces, telling

PANELS = ("variance", "spectrum", "path")
DISTANCES = {"kl": ("KL(generated $\\|$ data)", "-"), "reverse_kl": ("KL(data $\\|$ generated)", "--")}


def generation(dataset: xr.Dataset, axes: Any = None) -> np.ndarray:
    """Of one law: variances against eigenvalues of S, their spectrum, and variances after every step. Of a grid of
    laws: divergences per dimension along its longest axis.

    Simulated variances are points, means over trials of neighbouring eigenvectors with their standard error.

    Args:
        dataset: from `datasets.generation`.
        axes: three Axes for one law, one for a grid; None makes a figure.

    Returns:
        Array of the Axes.

    Raises:
        ValueError: another number of Axes.
    """
    if "place" not in dataset.dims:
        axes = one_each(axes, ["divergences"])
        _divergences(axes[0], dataset)
        return axes
    if axes is None:  # abscissae of their own
        axes = Figure(figsize=(14.25, 3.9), layout="constrained").subplots(1, len(PANELS))
    axes = checked(axes, PANELS)
    for axis, draw in zip(axes, (_variance, _spectrum, _path), strict=True):
        draw(axis, dataset)
        axis.grid(alpha=0.25, lw=0.5)
    return axes


def _variance(axis: Axes, dataset: xr.Dataset) -> None:
    order = np.argsort(np.asarray(dataset["nodes"]))
    x = np.asarray(dataset["nodes"])[order]
    variance = np.asarray(dataset["path"])[-1][order]
    shown = np.asarray(dataset["weights"])[order] > 0
    axis.plot(x[shown], variance[shown], color=COLOURS[0], lw=1.8, label="generated, theory", zorder=3)
    axis.plot(x[shown], x[shown], color="0.35", ls="--", lw=1, label="sample covariance", zorder=1)
    if np.isfinite(dataset["data_variance"]):
        axis.axhline(float(dataset["data_variance"]), color=COLOURS[2], ls=":", lw=1.4, label="data", zorder=2)
    if "simulated_variances" in dataset:
        place, mean, error = _groups(dataset)
        look: dict[str, Any] = dict(fmt="o", ms=4, mfc="white", capsize=2, color=COLOURS[1], zorder=4)
        axis.errorbar(place, mean, error, label=f"simulation, $d = {int(dataset['d'])}$", **look)
    axis.set_xlabel("eigenvalue $x$ of the sample covariance")
    axis.set_ylabel(r"variance $\Lambda(x)$ of samples")
    axis.set_title("Variance along the eigenvectors", fontsize="medium")
    axis.legend(fontsize="small", title=fixed(dataset, ""), title_fontsize="small")


def _groups(dataset: xr.Dataset, count: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, v = (np.asarray(dataset[name]) for name in ("simulated_eigenvalues", "simulated_variances"))
    parts = [np.array_split(values, min(count, x.shape[1]), axis=1) for values in (x, v)]
    places, values = (np.stack([part.mean(axis=1) for part in found], axis=1) for found in parts)
    return places.mean(axis=0), values.mean(axis=0), standard_error(values)


def _spectrum(axis: Axes, dataset: xr.Dataset) -> None:
    v, density = (np.asarray(dataset[name]) for name in ("variance", "density"))
    order = np.argsort(v)
    axis.plot(v[order], density[order], color=COLOURS[0], lw=1.8)
    axis.fill_between(v[order], density[order], color=COLOURS[0], alpha=0.15, lw=0)
    if float(dataset["mass"]) > 0:
        text = f"{float(dataset['mass']):.3g} of all"
        axis.axvline(float(dataset["atom"]), color=COLOURS[1], ls=":", label=f"null directions of $S$: {text}")
        axis.legend(fontsize="small")
    axis.set_ylim(bottom=0)
    axis.set_xlabel(r"variance $\Lambda$")
    axis.set_ylabel("density")
    axis.set_title("Spectrum of the generated covariance", fontsize="medium")


def _path(axis: Axes, dataset: xr.Dataset) -> None:
    """Quantiles of the spectrum of S, followed from level to level."""
    x, w = np.asarray(dataset["nodes"]), np.asarray(dataset["weights"])
    order = np.argsort(x)
    share = np.cumsum(w[order])
    t, path = np.asarray(dataset["step"], float), np.asarray(dataset["path"])
    for colour, quantile in zip(COLOURS, (0.05, 0.5, 0.95), strict=False):
        node = order[min(np.searchsorted(share, quantile), len(order) - 1)]
        label = f"quantile {quantile:g} of $S$, $x = {x[node]:.2g}$"
        axis.plot(t, path[:, node], "o-", ms=3, color=colour, label=label)
    if np.all(t > 0):
        log_x(axis)
    axis.invert_xaxis()
    if np.nanmax(path) > 10 * np.nanmin(path[path > 0]):
        axis.set_yscale("log")
    axis.set_xlabel(f"{dataset['step'].attrs['long_name']} $t$ (samples move to the right)")
    axis.set_ylabel("variance of samples")
    axis.set_title("Path of the samples", fontsize="medium")
    axis.legend(fontsize="small")


def _divergences(axis: Axes, dataset: xr.Dataset) -> None:
    along = abscissa(dataset)
    lines = pieces(dataset.drop_dims(["node", "step"]), along)
    told_by = telling(dataset, lines)
    for k, line in enumerate(lines):
        colour = COLOURS[k % len(COLOURS)]
        for name, (_, style) in DISTANCES.items():
            label = legend(line, told_by, "") if name == "kl" else None
            axis.plot(line[along], line[name], style, color=colour, lw=1.6, label=label or None)
    for title, style in DISTANCES.values():
        axis.plot([], [], style, color="0.3", label=title)
    log_x(axis)
    axis.set_yscale("log")
    axis.set_xlabel(axis_label(along, dataset))
    axis.set_ylabel("divergence per dimension")
    axis.legend(fontsize="small", title=fixed(dataset, along), title_fontsize="small")
    axis.grid(alpha=0.25, lw=0.5)
