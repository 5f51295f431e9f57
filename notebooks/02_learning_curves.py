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
# # Learning curves
#
# **The question.** How do the losses of denoising score matching depend on the number p of features, and what
# does it change to noise every sample m times? George, Veiga and Macris ([arXiv
# 2502.00336](https://arxiv.org/abs/2502.00336)) solve the random-feature model at m = 1 and m = ∞, simulate
# between them, and state:
#
# 1. There is a crossover at p = n, from generalisation to memorisation, and memorisation grows with m.
# 2. More noise draws help for p ≤ n and hurt for p ≥ n.
# 3. For m = 1 the test loss peaks at p = n. For m = ∞ it has no peak, but a minimum at some p < n, and rises
#    from there.
# 4. The same is seen on image data: notebook [07](07_real_data.ipynb).
# 5. The picture carries over to data on a subspace.
#
# Here these are drawn for any m, with simulated networks on top, and then measured: where exactly, and at
# which times?

# %%
import warnings

import matplotlib.pyplot as plt
import numpy as np

from rfdsm import Problem, boundary, compare, optimal, phase_diagram, phases, plots, predict, spectra

inf = np.inf
psi_n, t, ridge = 8, 0.1, 1e-3
draws = [1, 4, 16, inf]
all_draws = [1, 2, 4, 16, inf]
warnings.filterwarnings("ignore", "memorisation does not vanish")  # NaN in the tables says so

# %% [markdown]
# ## The curves
#
# tanh features, n/d = 8 samples per dimension, diffusion time t = 0.1, ridge λ = 10⁻³, identity covariance.
# Lines: theory. Points: networks in d = 32 dimensions, with standard errors. Dashed: the loss of the true
# score.

# %%
comparison = compare(Problem.grid(psi_n, [2, 16], draws, t, ridge), d=32, trials=6)
curves = phase_diagram(Problem.grid(psi_n, np.geomspace(0.25, 128, 241), draws, t, ridge))
figure, axes = plt.subplots(2, 2, figsize=(10, 7.6), sharex=True, layout="constrained")
for axis, name in zip(axes.flat, comparison.names, strict=True):
    plots.loss(axis, comparison.to_dataset().sel(loss=name), curves, name, "psi_p")
axes[0, 0].legend(fontsize="small")
for axis in axes[1]:
    axis.set_xlabel(plots.AXIS_LABELS["psi_p"])
plt.show()

# %%
print(comparison.summary())

# %% [markdown]
# ## Claim 1: where memorisation begins
#
# `memorisation` is the signed field that is positive where the learned score is nearer to the score of the
# training points than to the true one ([phases](../docs/phases.md), section 1). `boundary` solves for its
# zero.

# %%
times = [0.3, 0.1, 0.03, 0.01, 0.003, 0.001]
samples = 64
begins = boundary(Problem.grid(samples, 1, [1, 2, 4, 16, 64, inf], times, 1e-6), "memorisation", bounds=(1, 1e4))
print("p/n at which memorisation begins, n/d = 64, ridge 1e-6 (nan: not up to p/d = 10000)")
print("      t" + "".join(f"   m = {m:<4g}" for m in [1, 2, 4, 16, 64, inf]))
for k, time in enumerate(times):
    print(f"{time:7g}" + "".join(f"{root / samples:10.3f}" for root in begins.roots[:, k, 0]))

# %% [markdown]
# And the degree of memorisation, `memorisation_index` = 1 - empirical_test/floor, which is 1 where the
# training points are memorised perfectly and 0 where they are denoised as the true score would:

# %%
ratios = np.array([1, 2, 4, 8, 16, 32, 64])
for time in (0.1, 0.01):
    index = phase_diagram(Problem.grid(psi_n, psi_n * ratios, all_draws, time, ridge))["memorisation_index"].to_numpy()
    print(f"memorisation index at t = {time:g}, n/d = 8, ridge 0.001")
    print("  p/n" + "".join(f"   m = {m:<4g}" for m in all_draws))
    for ratio, row in zip(ratios, index, strict=True):
        print(f"{ratio:5d}" + "".join(f"{value:10.3f}" for value in row))

# %% [markdown]
# ## Claim 2: where more draws stop helping
#
# The test losses of two numbers of draws, m and m', change their order at one width. We read it off a fine
# grid, at several times.

# %%
ratios = np.geomspace(1 / 64, 64, 20001)
pairs = ((0, 1), (1, 2), (2, 3), (3, 4), (0, 4))
print("p/n at which the larger m becomes the worse one, n/d = 8, ridge 0.001")
print("      t   1 → 2   2 → 4  4 → 16  16 → ∞   1 → ∞")
for time in (0.3, 0.1, 0.03, 0.01):
    test = predict(Problem.grid(psi_n, psi_n * ratios, all_draws, time, ridge)).test
    places = [ratios[np.argmax(test[:, more] > test[:, fewer])] for fewer, more in pairs]
    gain = np.diff(test[ratios <= 1], axis=1).max()
    print(f"{time:7g}" + "".join(f"{place:8.2f}" for place in places) + f"   largest change for p ≤ n: {gain:+.1e}")

# %% [markdown]
# One draw against infinitely many, at n/d = 64 and a small ridge, as t falls:

# %%
for time in (0.3, 0.1, 0.01, 0.001, 0.0001):
    test = predict(Problem.grid(samples, samples * ratios, [1, inf], time, 1e-6)).test
    worse = ratios[np.argmax(test[:, 1] > test[:, 0])]
    print(f"t = {time:g}: m = inf is worse than m = 1 from p/n = {worse:.2f} on")

# %% [markdown]
# All this is at one ridge for all m. With the best ridge for each:

# %%
best = optimal(Problem.grid(psi_n, psi_n * np.array([0.5, 1, 2, 8]), all_draws, t, ridge), "ridge")
print("  p/n" + "".join(f"   m = {m:<4g}" for m in all_draws) + " test loss at the best ridge")
for ratio, row in zip((0.5, 1, 2, 8), best.minimum, strict=True):
    print(f"{ratio:5g}" + "".join(f"{value:10.4f}" for value in row))

# %% [markdown]
# ## Claim 3: the peak, and the minimum
#
# `phases.peak` solves for maxima of the test loss over p; `optimal` finds its minimum.

# %%
print("p/n of the peak, then of the minimum below p = n; ridge 0.001")
print("  n/d" + "".join(f"  m = {m:<3g}" for m in all_draws) + " |" + "".join(f"  m = {m:<3g}" for m in all_draws))
for number in (4, 8, 32, 128):
    peak = phases.peak(Problem.grid(number, 1, all_draws, t, ridge)).roots[:, 0] / number
    least = optimal(Problem.grid(number, 1, all_draws, t, ridge), "psi_p", bounds={"psi_p": (1e-2, number)})
    places = least["psi_p"] / number
    print(f"{number:5d}" + "".join(f"{x:9.3f}" for x in peak) + " |" + "".join(f"{x:9.3f}" for x in places))

# %% [markdown]
# The rise of m = ∞ from its minimum on, at n/d = 8:

# %%
least = optimal(Problem(psi_n, 1, inf, t, ridge), "psi_p")
beyond = predict(Problem(psi_n, float(least["psi_p"]) * np.geomspace(1, 1e4, 2001), inf, t, ridge)).test
print(f"minimum {least.minimum:.4f} at p/n = {least['psi_p'] / psi_n:.3f}")
print(f"from there on test rises in every step of the grid: {bool(np.all(np.diff(beyond) > 0))}")
print(f"1e4 times wider it is {beyond[-1]:.4f}, in the limit {predict(Problem(psi_n, inf, inf, t, ridge)).test:.4f}")

# %% [markdown]
# ## Claim 5: data on a subspace
#
# Gaussian data that fill D of the d dimensions: the covariance has the eigenvalue 1 on a fraction D/d of the
# directions and 0 on the others. p/n at the last peak of m = 1, at the minimum of m = ∞, and where m = ∞
# begins to memorise:

# %%
print("                      peak,   minimum,  memorisation,")
print("  D/d       t  floor   m = 1   m = inf      m = inf")
for fraction in (1, 0.5, 0.1):
    spectrum, times = spectra.atoms([0, 1], [1 - fraction, fraction]), np.array([0.1, 0.01])
    one, infinite = (Problem(psi_n, 1, m, times, 1e-6, spectrum=spectrum) for m in (1, inf))
    peaks = np.nanmax(phases.peak(one).roots, axis=1) / psi_n
    least = optimal(infinite, "psi_p")
    begins = boundary(infinite, "memorisation").roots[:, 0] / psi_n
    for row in zip(times, least.losses.floor, peaks, least["psi_p"] / psi_n, begins, strict=True):
        print(f"{fraction:5g}  {row[0]:6g} {row[1]:6.4f} {row[2]:7.4f} {row[3]:9.3f} {row[4]:12.3f}")

# %% [markdown]
# ## What was learnt
#
# - **Claim 1** holds as a limit, t → 0, for many draws. At t = 0.1 nothing turns at p = n: with infinitely
#   many draws memorisation begins at p/n = 2.749. The border comes down to 1.093 at t = 0.01 and 0.950 at t =
#   0.001 (notebook [03](03_phase_diagram.ipynb) follows it further). With few draws it stays far from p = n:
#   it begins beyond the peak at p = nm for m = 4, at p/n = 8.410, and for m = 1 nowhere up to p/d = 10000.
# - *Memorisation grows with m* at p = n, from an index of -1.734 to 0.110 at t = 0.1, and for wide networks,
#   from -0.170 to 0.921 at p = 64n. Around p = nm, where m draws have their peak, they memorise less than
#   fewer draws do: -0.772 at m = 1 and -1.247 at m = 2 for p = 2n.
# - **Claim 2**: its first half holds without exception here; for all p ≤ n every step to more draws lowers
#   the test loss. Its second half sets in later than p = n: two draws become worse than one at p/n = 1.44,
#   four worse than two at 2.80, infinitely many worse than one at 2.67. As t → 0 one draw against infinitely
#   many does turn at p = n: at p/n = 1.44, 1.15 and 1.05 for t = 0.01, 0.001 and 0.0001. It is a statement
#   about one ridge for all: with the best ridge for each, more draws help at every width, 0.8880 for m = 1
#   and 0.8293 for m = ∞ at p = 8n.
# - **Claim 3** holds. The peak of m = 1 is at p/n = 1.036 with ridge 0.001 (m = 2, 4 and 16 have theirs at
#   2.070, 4.126 and 16.967, near p = nm). m = ∞ has none; its minimum is at p/n = 0.208 for n/d = 8 and moves
#   down, to 0.044, for n/d = 128. From there the test loss rises all the way to 4.5167.
# - **Claim 5**: on a subspace the peak of m = 1 stays at p = n. The rest moves up in units of n as D/d falls:
#   at D/d = 0.1 and t = 0.1 the minimum of m = ∞ lies at p/n = 2.578, beyond p = n, and memorisation begins
#   at 87.540. At t = 0.01 they are at 0.971 and 5.802.
#
# ## Change this
#
# - `activation="relu"`: the nonlinear part of the features is larger. Where does the order of m = 1 and m = ∞
#   change now?
# - `spectrum=spectra.power_law(1.0, 1e-3)`: directions of many scales. Is there still one minimum?
# - `d=[16, 32, 64]` in `compare`: the extrapolated deviation, `comparison.extrapolation.z`, should have an
#   rms of about 1.
