# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: -all
#     formats: ipynb,py:percent
#     notebook_metadata_filter: jupytext,kernelspec,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The phase diagram, and what happens to it as t → 0
#
# **The question.** For which n/d and p/d does a network generalise, fit noise, or memorise? The papers draw
# the border at p = n ([arXiv 2502.00336](https://arxiv.org/abs/2502.00336)). Here the borders are solved
# exactly at finite time, for finite m and m = ∞, and followed to t → 0 to see in what sense p = n is the
# answer.
#
# The regimes are those of [phases](../docs/phases.md), section 1. *Memorisation*: on the training points the
# learned score is nearer to the empirical score (that of the training points) than to the true one.
# *Noise-fitting*: the draws seen in training are fitted beyond what can be known, the points they belong to
# are not. *Harmful*, on top: the test loss is above 1, that of a network that outputs zero.

# %%
import warnings

import matplotlib.pyplot as plt
import numpy as np

from rfdsm import Problem, boundary, phase_diagram, phases, plots, predict
from rfdsm.theory import limits

inf = np.inf
warnings.filterwarnings("ignore", "memorisation does not vanish")  # NaN says so

# %% [markdown]
# ## Three diagrams at t = 0.1
#
# tanh features, ridge λ = 10⁻³. Areas are the regimes; lines are boundaries solved along both axes, not read
# off the grid. Markers are simulated networks in d = 24 dimensions, classified by their own losses, for m = 4
# and m = ∞.

# %%
axis_n, axis_p = np.geomspace(0.1, 100, 101), np.geomspace(0.11, 300, 101)
figure, axes = plt.subplots(1, 3, figsize=(13, 5.4), sharey=True, layout="constrained")
print("share of the area" + "".join(f"{name:>16}" for name in phases.REGIMES) + "   harmful")
for axis, m in zip(axes, (1, 4, inf), strict=True):
    diagram = phase_diagram(Problem.grid(axis_n, axis_p, m, 0.1, 1e-3), along=("psi_p", "psi_n"))
    shares = "".join(f"{np.mean(diagram['regime'] == code):16.3f}" for code in range(3))
    print(f"m = {m:<13g}{shares}{float(diagram['is_harmful'].mean()):10.3f}")
    simulated = None
    if m > 1:
        cells = Problem.grid([0.3, 3, 30], [0.5, 16], m, 0.1, 1e-3)
        simulated = phases.simulated_regimes(cells, d=24, trials=4)
        agree = phase_diagram(cells)["regime"].to_numpy() == simulated["regime"].to_numpy()
        print(f"    simulated networks are in the regime of theory in {agree.sum()} of {agree.size} cells")
    plots.phase_diagram(diagram, axis, across="psi_n", along="psi_p", simulated=simulated, legend=m == 4)
plt.show()

# %% [markdown]
# ## How exact are the boundaries?
#
# `boundary` returns every root with its derivative and residual. `error` is the relative error these leave.

# %%
curve = boundary(Problem(np.geomspace(0.1, 100, 301), 1, 4, 0.1, 1e-3), "memorisation", "psi_p")
roots = np.isfinite(curve.roots)
print(f"{roots.sum()} roots on {len(roots)} lines, all converged: {bool(curve.converged[roots].all())}")
print(f"largest relative error {np.nanmax(curve.error):.1e}")
root = boundary(Problem(8, 1, 4, 0.1, 1e-3), "memorisation").roots[0]
at = predict(Problem(8, root, 4, 0.1, 1e-3))
print(
    f"n/d = 8: p/d = {root:.12f}; there min(floor, test - floor) - empirical_test = "
    f"{min(at.floor, at.test - at.floor) - at.empirical_test:.1e}"
)

# %% [markdown]
# ## t → 0 at m = ∞
#
# The boundary of memorisation at n/d = 64 and ridge 10⁻⁶, in units of n:

# %%
times = np.array([0.3, 0.1, 0.01, 0.001])
curve = boundary(Problem(64, 1, inf, times, 1e-6), "memorisation")
for time, root in zip(times, curve.roots[:, 0] / 64, strict=True):
    print(f"t = {time:g}: memorisation begins at p/n = {root:.4f}")

# %% [markdown]
# It comes down to p = n, passes below it, and comes back. For n/d → ∞ and no ridge the law is
#
# $$p/n = 1 - h^{1/3} + O(h^{2/3}), \qquad h = 1 - e^{-2t}.$$
#
# Measured with ever more samples and no ridge:

# %%
times = np.array([1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8])
h = -np.expm1(-2 * times)
law = 1 - h ** (1 / 3)
thresholds = {}
for samples in (64, 1e3, 1e5):
    window = (0.1 * samples, 100 * samples)
    thresholds[samples] = (
        boundary(Problem(samples, 1, inf, times, 0), "memorisation", bounds=window).roots[:, 0] / samples
    )
print("      t   1 - h^(1/3)   " + "".join(f"n/d = {samples:<8g}" for samples in thresholds) + "(p/n - law)/h^(2/3)")
for k, time in enumerate(times):
    row = "".join(f"{thresholds[samples][k]:14.5f}" for samples in thresholds)
    print(f"{time:7.0e} {law[k]:12.5f} {row} {(thresholds[1e5][k] - law[k]) / h[k] ** (2 / 3):16.3f}")

# %% [markdown]
# The reason, from [limits](../docs/limits.md), section 3: as t → 0 a network of p < n features fits a
# fraction p/n of its samples, one feature each. Memorisation begins when the fraction that is not fitted has
# come down to $h^{1/3}$, which takes p close to n.

# %%
large = Problem(1.0, 0.5, inf, np.array([0.1, 0.01, 0.001, 1e-4, 1e-6]), 0)
print("fraction of samples fitted at p/n = 0.5:", np.round(limits.fitted_fraction(large), 4))
for time in (0.01, 1e-4, 1e-6):
    fitted = 1 - (-np.expm1(-2 * time)) ** (1 / 3)
    print(f"t = {time:g}: h^(1/3) is unfitted at p/n = {limits.ratio_to_fit(Problem(1, 1, inf, time, 0), fitted):.5f}")

# %%
axis_t, axis_p = np.geomspace(1e-4, 1, 121), 64 * np.geomspace(0.05, 50, 121)
diagram = phase_diagram(Problem.grid(64, axis_p, inf, axis_t, 1e-6), along="psi_p")
figure, axis = plt.subplots(figsize=(6.4, 5.4), layout="constrained")
plots.phase_diagram(diagram, axis, across="t", along="psi_p")
axis.plot(axis_t, 64 * (1 - (-np.expm1(-2 * axis_t)) ** (1 / 3)), color="black", ls="--", lw=1)
axis.annotate(r"$p/n = 1 - h^{1/3}$", (1.2e-3, 40), fontsize="small", ha="left", va="top")
plt.show()

# %% [markdown]
# ## t → 0 at finite m
#
# The same boundary without a ridge, for finitely many draws. Several roots on one line: memorisation begins,
# ends and begins again.

# %%
draws, small = [1, 2, 4, 8, 16, 64, inf], [0.1, 0.01, 1e-5]
curve = boundary(Problem.grid(64, 1, draws, small, 0), "memorisation", bounds=(32, 1e5))
for m, lines in zip(draws, curve.roots / 64, strict=True):
    for time, line in zip(small, lines, strict=True):
        print(f"m = {m:3g}, t = {time:5g}: p/n =", *(f"{root:.3f}" for root in line[np.isfinite(line)]))

# %% [markdown]
# Beyond the last root of a finite m the network memorises, however wide it is. With enough draws there is a
# second region of memorisation, from near p = n almost up to the peak at p = nm. From which m on, and where
# does it begin?

# %%
draws = np.arange(6, 15)
first = boundary(Problem(64, 1, draws, 1e-5, 0), "memorisation", bounds=(32, 1e5)).roots[:, 0] / 64
print("t = 1e-05:", ", ".join(f"m = {m}: {root:.3f}" for m, root in zip(draws, first, strict=True)))
draws = np.array([16, 64, 256, 1024])
for time in (1e-5, 1e-7):
    first = boundary(Problem(64, 1, draws, time, 0), "memorisation", bounds=(32, 1e5)).roots[:, 0] / 64
    print(f"t = {time:g}:", ", ".join(f"m = {m}: {root:.4f}" for m, root in zip(draws, first, strict=True)))
    print("    m (p/n - 1) =", ", ".join(f"{m * (root - 1):.2f}" for m, root in zip(draws, first, strict=True)))

# %% [markdown]
# ## What was learnt
#
# - At t = 0.1 nothing begins at p = n. What there is depends on m: with one draw per sample no network in the
#   whole plane memorises, most (a share of 0.845) fit noise; with infinitely many draws there is no noise to
#   fit, and 0.464 of the plane memorises.
# - Boundaries are roots, not pixels: with relative errors below 1e-12 here.
# - At m = ∞ memorisation begins at p/n = 12.0911, 2.7490, 1.0934 and 0.9502 for t = 0.3, 0.1, 0.01 and 0.001
#   (n/d = 64), and for n/d → ∞ the border follows $p/n = 1 - h^{1/3} + c\, h^{2/3}$ with c = 4.744. So p = n
#   is its limit, reached slowly and from below: 0.97636 at t = 1e-5, 0.99732 at t = 1e-8. The second term is
#   so large that at t = 0.01 the border is still above p = n.
# - At finite m and t → 0, p = n is the border only if there are many draws. Up to m = 8 memorisation begins
#   beyond the peak at p = nm, at p/n = 15.323, 7.211 and 11.039 for m = 2, 4 and 8; for m = 1 nowhere up to
#   p/d = 1e5. From m = 9 on (at n/d = 64) it begins before the peak, at p/n = 1.872 for m = 9, 1.295 for m =
#   16 and 1.057 for m = 64; as t → 0 the product m (p/n - 1) is 4.73 at m = 16 and 3.32 at m = 1024. Then it
#   ends before p = nm, where the test loss peaks, on the training points too, and begins again behind: for m
#   = 16 at p/n = 12.149 and 19.178.
#
# ## Change this
#
# - `activation="relu"`: its nonlinear part is larger than that of tanh. Where does memorisation begin?
# - `along="t"` in `boundary`: at which time does a network of p = 4n begin to memorise on the way to t = 0?
# - `field="harmful"`: the other border, test = 1, as t → 0.
