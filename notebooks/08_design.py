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
# # Design: ridge, width and stopping time for given n and d
#
# **The question.** You have n samples in d dimensions. Too wide a network, trained to the end without a penalty,
# is worse than none. Three things prevent that: a ridge, fewer features, stopping early. Which values are best,
# which of the three matters most, do they add up, and how many noise draws m per sample are worth their cost? The
# questions are those of Urfin, Bonnaire, Biroli and Mézard ([arXiv 2609.26392](https://arxiv.org/abs/2609.26392),
# the best ridge at finite m) and of Bonnaire et al. ([arXiv 2505.17638](https://arxiv.org/abs/2505.17638), early
# stopping), put side by side. What counts is the *excess*: the test loss above its floor, that of the true score.

# %%
import matplotlib.pyplot as plt
import numpy as np

import rfdsm
from rfdsm import plots

n, d, p, t = 256, 32, 384, 0.1

# %% [markdown]
# ## Ask first
#
# `advise` puts the answers together for one size, in words. It would also simulate networks as evidence; here they
# come last, one set for each remedy (hence `budget=0`).

# %%
print(rfdsm.advise(n, d, t=t, m=4, p=p, ridge=0.0, max_p=24 * d, budget=0))

# %% [markdown]
# ## One remedy at a time, and together
#
# Widths up to 24 d and any ridge are allowed. `optimal` finds the best ridge and width of networks trained to the
# end, `optimal_stopping` the best time on a few widths and ridges.

# %%
draws = np.array([1, 4, 16, np.inf])
start = rfdsm.Problem(n / d, p / d, draws, t, 0.0)
floor = float(rfdsm.predict(start).floor[0])
widths, ridges = np.array([1, 4, 24, p / d]), np.array([0, 0.1, 0.5, 2])
limits = {"psi_p": (0.25, 24)}
ridge = rfdsm.optimal(start, "ridge")
width = rfdsm.optimal(start, "psi_p", bounds=limits)
both = rfdsm.optimal(start, ["ridge", "psi_p"], bounds=limits)
stopped = rfdsm.optimal_stopping(rfdsm.Problem.grid(n / d, widths, draws, t, 0.0))
penalised = rfdsm.optimal_stopping(rfdsm.Problem.grid(n / d, p / d, draws, t, ridges))
remedies = {
    "none": rfdsm.predict(start).test,
    "width": width.minimum,
    "ridge": ridge.minimum,
    "stopping": stopped.loss[-1],
    "ridge, width": both.minimum,
    "stopping, width": stopped.loss.min(axis=0),
    "ridge, stopping": penalised.loss.min(axis=1),
}
print(f"excess over the floor {floor:.4f} at n/d = {n / d:g}, p = {p}, t = {t}, for m = 1, 4, 16, inf")
for name, loss in remedies.items():
    print(f"  {name:16s}", *(f"{value:8.4f}" for value in loss - floor))
print("share of the excess removed, for m = 1, 4, 16, inf")
for name, loss in list(remedies.items())[1:]:
    print(f"  {name:16s}", *(f"{share:8.1%}" for share in (remedies["none"] - loss) / (remedies["none"] - floor)))
print("best values, for m = 1, 4, 16, inf")
print("  ridge           ", *(f"{value:8.3g}" for value in ridge["ridge"]))
print("  width p/d       ", *(f"{value:8.3g}" for value in width["psi_p"]))
print("    with a ridge  ", *(f"{value:8.3g}" for value in both["psi_p"]))
print("  stopping time   ", *(f"{value:8.3g}" for value in stopped.time[-1]))
print("  ridge if stopped", *(f"{value:8.3g}" for value in ridges[penalised.loss.argmin(axis=1)]))

# %% [markdown]
# ## How many noise draws?
#
# At $p = 12d$ and the best ridge for each n and m. A draw costs computing time, a sample has to be collected: how
# many times as many samples, at m = 1, would do the same as m draws of each?

# %%
samples, counts = [4, 8, 16, 32], [1, 2, 4, 8, 16, 32, 64, np.inf]
more = np.geomspace(4, 512, 57)
excess = rfdsm.optimal(rfdsm.Problem.grid(samples, p / d, counts, t, 0.0), "ridge").minimum - floor
single = rfdsm.optimal(rfdsm.Problem(more, p / d, 1, t, 0.0), "ridge").minimum - floor
print("m =", *(f"{m:8g}" for m in counts))
for psi, left in zip(samples, excess, strict=True):
    print(f"n/d = {psi}")
    print("  excess               ", *(f"{x:7.4f}" for x in left))
    print("  share of the gain    ", *(f"{x:7.0%}" for x in (left[0] - left) / (left[0] - left[-1])))
    worth = np.exp(np.interp(-np.log(left), -np.log(single), np.log(more), right=np.nan)) / psi
    print("  worth samples, factor", *(f"{x:7.2f}" for x in worth))

# %%
figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
for j, m in enumerate(draws):
    label = r"$m = \infty$" if np.isinf(m) else f"$m = {m:g}$"
    heights = [loss[j] - floor for loss in remedies.values()]
    axes[0].plot(heights, range(len(heights)), plots.MARKERS[j], color=plots.COLOURS[j], label=label)
axes[0].set_yticks(range(len(remedies)), list(remedies))
axes[0].set_xscale("log")
axes[0].invert_yaxis()
axes[0].set_xlabel("excess test loss per coordinate")
axes[0].set_title(f"$n/d = {n / d:g}$, $t = {t}$, tanh", fontsize="medium")
axes[0].legend(fontsize="small")
for k, psi in enumerate(samples):
    axes[1].plot(
        counts[:-1], excess[k, :-1], color=plots.COLOURS[k], marker=plots.MARKERS[k], label=rf"$\psi_n = {psi}$"
    )
    axes[1].axhline(excess[k, -1], color=plots.COLOURS[k], ls=":", lw=1)
axes[1].set_xscale("log", base=2)
axes[1].set_yscale("log")
axes[1].set_xlabel(plots.AXIS_LABELS["m"])
axes[1].set_ylabel("excess test loss per coordinate")
axes[1].set_title(r"best ridge, $p = 12d$; dotted: $m = \infty$", fontsize="medium")
axes[1].legend(fontsize="small")
for axis in axes:
    axis.grid(alpha=0.25, lw=0.5)
plt.show()

# %% [markdown]
# ## Other times and sample sizes
#
# Excess that each remedy leaves, at $p = 12d$ (but for the best width) and $m = 4$.

# %%
psi_n, late = np.array([2, 8, 32])[:, None], np.array([0.01, 0.1, 0.5])
family = rfdsm.Problem(psi_n, p / d, 4, late, 0.0)
floors = rfdsm.predict(family).floor
found = rfdsm.optimal_stopping(family)
columns = (found.final, rfdsm.optimal(family, "psi_p", bounds=limits).minimum, found.ridge_loss, found.loss)
print("                     none    width    ridge    stopping")
for i, j in np.ndindex(*family.shape):
    left = [float((column - floors)[i, j]) for column in columns]
    print(f"n/d = {psi_n[i, 0]:2d}, t = {late[j]:4g}:", *(f"{value:8.4f}" for value in left))

# %% [markdown]
# ## Simulated
#
# Networks of exactly this size, n = 256, d = 32: without remedy, with the best ridge, stopped at the best time
# (all p = 384), and with the best width.

# %%
four = 1  # the place of m = 4 among the draws
wide = rfdsm.Problem(n / d, p / d, 4, t, np.array([0.0, ridge["ridge"][four]]))
flow = rfdsm.simulate_training(wide, [stopped.time[-1, four], np.inf], d, trials=8).test
narrow = rfdsm.Problem(n / d, np.round(width["psi_p"][four] * d) / d, 4, t, 0.0)
checks = {
    "none": (remedies["none"][four], flow[:, 0, 1]),
    "ridge": (ridge.minimum[four], flow[:, 1, 1]),
    "stopping": (stopped.loss[-1, four], flow[:, 0, 0]),
    "width": (rfdsm.predict(narrow).test, rfdsm.simulate_training(narrow, np.inf, d, trials=8).test),
}
for name, (theory, simulated) in checks.items():
    mean, error = np.mean(simulated) - floor, np.std(simulated, ddof=1) / np.sqrt(simulated.size)
    off = mean / (theory - floor) - 1
    print(f"{name:9s} excess {theory - floor:.4f} in theory, {mean:.4f} ± {error:.4f} simulated ({off:+.1%})")

# %% [markdown]
# ## What was learnt
#
# * **Some remedy matters far more than which.** At n/d = 8, p = 12 d, m = 4 the best ridge and the best stopping
#   time each remove 96.6 % of the excess. The best width removes 90.8 %: it leaves 0.0775 in place of 0.0287.
# * **Ridge or stopping?** The ridge with one draw (0.0715 against 0.0737), stopping with many (0.0101 against
#   0.0119 at m = ∞). The difference is small beside that of doing neither.
# * **They do not add up.** With the best stopping time a ridge is hardly of use for m = 4 (0.0285 in place of 0.0286)
#   and none for more draws, and with the ridge the best width is the largest allowed and gains little: 0.0277 in
#   place of 0.0287. Choose the width you can afford, then one of the two.
# * **Without them, fewer features than samples**: the best width at m = 4 is 1.26 d, far below n = 8 d, and moves
#   to 1.63 d at m = ∞.
# * **Draws are worth samples.** At n/d = 8 two draws do what 1.95 times the samples would, four 3.37 times,
#   infinitely many 9.92 times. 72 % of the gain comes with m = 4, 93 % with m = 16. The more samples, the less
#   they are worth in samples (9.10 times at n/d = 16).
# * The ranking is the same at t = 0.01 and 0.5 and for n/d = 2 and 32: width last, ridge and stopping side by
#   side, the ridge ahead where samples are few or t is small.
# * **Networks of this size agree**: without remedy, ridge, stopping and width are off by +2.0 %, +5.4 %, +5.7 %
#   and -0.1 % of the excess. That is what O(1/d) amounts to at d = 32, and it changes no ranking.
#
# **Change this:** n, d and p to your own (`advise(data=...)` takes rows), the activation, or `minimise="score"`,
# which weighs the same error by 1/h.
