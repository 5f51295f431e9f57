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
# # Quick start: one problem, three answers
#
# **The question.** A network with p random features learns to denoise n samples in d dimensions, and sees
# every sample with m draws of the noise. Which losses will it reach? Does it generalise, or does it memorise
# its samples? The model is that of George, Veiga and Macris ([arXiv
# 2502.00336](https://arxiv.org/abs/2502.00336)). rfdsm answers in three ways: by theory, exact for d → ∞; by
# simulation of real networks at finite d; and by holding one against the other.

# %%
import matplotlib.pyplot as plt
import numpy as np

from rfdsm import Problem, compare, phase_diagram, phases, plots, predict, simulate

# %% [markdown]
# A problem is given by ratios: n/d samples and p/d features per dimension, m draws, the diffusion time t (the
# signal is scaled by $a = e^{-t}$, the noise has variance h = 1 - a²) and the ridge λ. tanh features and
# identity covariance are the defaults.

# %%
problem = Problem(psi_n=4, psi_p=3, m=4, t=0.1, ridge=0.01)

# %% [markdown]
# ## First answer: theory

# %%
theory = predict(problem)
for name in ("train", "empirical_test", "test", "score", "floor"):
    print(f"{name:>14} {getattr(theory, name):.6f}")

# %% [markdown]
# - `train`: the loss on the draws it was trained on.
# - `empirical_test`: the same samples, fresh noise. Small when the samples are memorised.
# - `test`: fresh samples, fresh noise.
# - `score`: the squared error of the learned score, test = floor + h · score.
# - `floor`: the loss of the true score, the best there is on fresh samples. A network that outputs zero has
#   loss 1.

# %%
h = 1 - np.exp(-2 * problem.t)
print(f"floor + h score = {theory.floor + h * theory.score:.6f}")
diagram = phase_diagram(problem)
print(f"regime: {phases.REGIMES[int(diagram['regime'])]}")
print(f"memorisation index {float(diagram['memorisation_index']):.4f}: 1 for perfect memory, 0 for the true score")

# %% [markdown]
# ## Second answer: simulation
#
# Sixteen networks in d = 32 dimensions: 128 samples with 4 draws each, 96 features. The losses of a network
# are computed, not estimated on a test set; what scatters is the network.

# %%
simulated = simulate(problem, d=32, trials=16)
for name in ("train", "empirical_test", "test", "score"):
    values = getattr(simulated, name)
    print(f"{name:>14} {values.mean():.4f} ± {values.std(ddof=1) / np.sqrt(values.size):.4f}")

# %% [markdown]
# ## Third answer: their comparison
#
# Theory is exact for d → ∞; a finite network deviates by O(1/d). So we compare at three sizes, with m from 1
# to ∞ (the expectation over the noise), and extrapolate.

# %%
draws = np.array([1, 2, 4, 16, np.inf])
comparison = compare(Problem(4, 3, draws, 0.1, 0.01), d=[16, 32, 64], trials=16)
print(comparison.summary())

# %% [markdown]
# Simulation minus theory for the test loss, in per cent; the slope of a straight line in 1/d through these
# deviations, and what it leaves at d = ∞, in standard errors:

# %%
test = comparison.names.index("test")
limit = comparison.extrapolation
print("   m " + "".join(f"    d = {d}" for d in comparison.dimensions) + "     slope   left at d = inf")
for k, m in enumerate(draws):
    row = "".join(f"{100 * value:+10.2f}" for value in comparison.relative_deviation[test, :, k])
    print(f"{m:4g} {row} {limit.slope[test, k]:+9.3f} {limit.z[test, k]:+12.1f}")
print(f"all losses: largest deviation left at d = inf: {np.abs(limit.z).max():.2f} standard errors")

# %%
figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
inverse, line = 1 / np.array(comparison.dimensions), np.array([0, 0.065])
for k, m in enumerate(draws):
    theory_line = comparison.limit.test[k]
    shifted = inverse * (1 + 0.02 * (k - 2))  # so that error bars do not hide each other
    mean, error = comparison.deviation[test, :, k], comparison.standard_error[test, :, k]
    look = dict(color=plots.COLOURS[k], fmt=plots.MARKERS[k], ms=4, capsize=2)
    axis.errorbar(
        shifted, 100 * mean / theory_line, 100 * error / theory_line, label=f"m = {m:g}".replace("inf", "∞"), **look
    )
    fitted = limit.intercept[test, k] + limit.slope[test, k] * line
    axis.plot(line, 100 * fitted / theory_line, color=plots.COLOURS[k], lw=1)
axis.axhline(0, color="0.35", ls="--", lw=1)
axis.set(xlabel="1/d", ylabel="deviation of the test loss, per cent")
axis.legend(fontsize="small")
plt.show()

# %% [markdown]
# Where these networks stand among all widths: theory as lines, the simulated networks as points, the paper's
# crossover p = n and the peak at p = nm as vertical lines.

# %%
curves = phase_diagram(Problem.grid(4, np.geomspace(0.25, 70, 201), draws, 0.1, 0.01))
figure, axes = plt.subplots(2, 2, figsize=(10, 7.4), sharex=True, layout="constrained")
for axis, name in zip(axes.flat, comparison.names, strict=True):
    plots.loss(axis, comparison.to_dataset().sel(loss=name), curves, name, "psi_p")
axes[0, 0].legend(fontsize="x-small", ncols=2)
for axis in axes[1]:
    axis.set_xlabel(plots.AXIS_LABELS["psi_p"])
plt.show()

# %% [markdown]
# ## What was learnt
#
# - This network fits the noise it has seen but does not memorise: its training loss 0.6361 is below the floor
#   0.8187, but with fresh noise on the same samples the loss is 0.8433. It does not generalise either: a test
#   loss of 1.0130 is worse than that of a network that outputs zero.
# - Simulation at d = 32 gives 1.0043, less than one per cent lower.
# - That difference is the finite size: it falls like 1/d, for m = 1 from 3.93 per cent at d = 16 over 2.27 to
#   0.96 at d = 64, for m = ∞ from 0.77 over 0.53 to 0.30. Extrapolated to d = ∞ no loss is further from
#   theory than 0.91 standard errors. With more draws finite networks are closer to the limit: the slope falls
#   from -0.925 at m = 1 to -0.108 at m = ∞.
#
# ## Change this
#
# - `comparison.table()` shows all losses of all cells; `comparison.to_dataset().to_netcdf("file.nc")` keeps
#   them.
# - `activation="relu"` or any function written in JAX; `spectrum=rfdsm.spectra.power_law(1.0, 0.01)` for data
#   of many scales.
# - `psi_p=16`: wider networks deviate more at the same d.
