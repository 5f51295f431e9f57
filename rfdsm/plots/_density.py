"""The spectrum of the feature matrix."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rfdsm.plots._style import COLOURS


def spectrum(
    u: Any,
    density: Any,
    atoms: Any = None,
    eigenvalues: Any = None,
    label: str | None = None,
    until: float | None = None,
    axes: Any = None,
) -> np.ndarray:
    """Eigenvalue density of the feature matrix: linear axes on the left, logarithmic ones on the right.

    Call again with the Axes returned, to add a curve. A histogram is normalised to the whole of its eigenvalues, zeros
    and all, in bins of equal width on each panel's axis, so that it lies on the density of the same problem.

    Args:
        u: places, shape (places,), positive values for the logarithmic panel.
        density: at these places; where it is 0 the logarithmic panel shows a gap.
        atoms: pairs (location, mass), drawn as dotted lines that say their mass; an atom at 0 only on the left.
        eigenvalues: of a simulated matrix, drawn as a histogram.
        label: for the legend.
        until: right end of the linear panel, for spectra that span decades; None shows all.
        axes: two Axes, (linear, logarithmic); None makes a figure.

    Returns:
        Array of the two Axes.

    Raises:
        ValueError: u and density of different shapes, or not two Axes.
    """
    u, density = np.asarray(u, float), np.asarray(density, float)
    if u.ndim != 1 or u.shape != density.shape:
        raise ValueError(f"density has shape {density.shape}: must be that of u, {u.shape}, one-dimensional")
    if axes is None:
        axes = Figure(figsize=(9.5, 3.7), layout="constrained").subplots(1, 2)
    axes = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
    if axes.size != 2:
        raise ValueError(f"axes: {axes.size} given, must be 2, with linear and with logarithmic scales")
    colour = COLOURS[sum(line.get_linestyle() == "-" for line in axes[0].lines) % len(COLOURS)]
    order = np.argsort(u)
    u, density = u[order], density[order]
    seen, atoms = u[density > 0], [] if atoms is None else list(atoms)
    for axis, logarithmic in zip(axes, (False, True), strict=True):
        kept = (u > 0) if logarithmic else np.isfinite(u)
        values = np.where(density > 0, density, np.nan) if logarithmic else density
        axis.plot(u[kept], values[kept], color=colour, lw=1.4, label=label, zorder=3)
        if eigenvalues is not None and seen.size:
            low, high = seen[0] / 1.5, seen[-1] * 1.5
            bins = np.geomspace(low, high, 91) if logarithmic else np.linspace(0, until or 1.02 * seen[-1], 91)
            counts, edges = np.histogram(eigenvalues, bins)
            heights = counts / np.diff(edges) / np.size(eigenvalues)
            axis.stairs(heights, edges, fill=True, color=colour, alpha=0.25, zorder=1)
        for location, mass in atoms:
            if mass > 0 and (location > 0 or not logarithmic):
                axis.axvline(location, color=colour, ls=":", lw=1, zorder=2)
                text: dict[str, Any] = dict(va="top", ha="left", fontsize="x-small", color=colour, zorder=4)
                text |= dict(textcoords="offset points", xytext=(4, 0))
                text["bbox"] = dict(fc="white", ec="none", pad=1, alpha=0.8)
                height = 0.98 - 0.07 * len(axis.texts)  # several may stand close together
                axis.annotate(f"atom, mass {mass:.3g}", (location, height), xycoords=("data", "axes fraction"), **text)
        axis.set_xlabel("eigenvalue $u$ of $U$")
        axis.grid(alpha=0.25, lw=0.5)
    if until is not None:
        axes[0].set_xlim(0, until)
    axes[0].set_ylabel(r"density $\varrho(u)$")
    axes[1].set_xscale("log")
    axes[1].set_yscale("log")
    if label is not None:
        axes[0].legend(fontsize="small")
    return axes
