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
# # What should the network predict?
#
# **The question.** A denoising network may be trained to predict the noise, the data or a velocity, and any of them
# gives the score. Practice says that it matters: Li and He ([arXiv 2511.13720](https://arxiv.org/abs/2511.13720))
# find that networks which are narrow beside the dimension of their input should predict the data, because data lie
# in few directions and noise does not. For random features the question has an exact answer at any width, number of
# samples and draws. The measure is the score error at one noise level: losses of different targets have different
# units.

# %%
import warnings

import matplotlib.pyplot as plt
import numpy as np

import rfdsm
from rfdsm import spectra

TARGETS = ("noise", "data", "velocity")
COLOURS = dict(zip(TARGETS, ("C0", "C1", "C2"), strict=True))
n_over_d, t = 4.0, 0.3
few_directions = spectra.atoms([4.0, 0.0], [1 / 4, 3 / 4])
laws = {"isotropic data": spectra.isotropic(), "data in 1/4 of the directions": few_directions}

# %% [markdown]
# ## Error against width
#
# Lines: theory at the best ridge of every target and width. Points: real networks in 64 dimensions, at those ridges
# (of isotropic data for the data target only).

# %%
widths, few = np.geomspace(0.25, 60, 24), [6]
d, trials = 64, 6
figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
best, measured = {}, {}
for axis, (name, law) in zip(axes, laws.items(), strict=True):
    family = rfdsm.Problem(n_over_d, widths, 4, t, 0.0, spectrum=law)
    best[name] = rfdsm.optimal(family, ("target", "ridge"), targets=TARGETS).targets
    for target, one in best[name].items():
        colour = COLOURS[target]
        if np.max(one.minimum) < 1e-6:  # nothing to learn
            axis.plot([], [], color=colour, label=f"{target}: below {1e-6:g}")
            continue
        axis.loglog(widths, one.minimum, color=colour, label=target)
        if (name, target) == ("isotropic data", "noise"):
            continue
        problem = rfdsm.Problem(n_over_d, widths[few], 4, t, one["ridge"][few], spectrum=law, target=target)
        simulated = rfdsm.simulate(problem, d, trials=trials, key=1).score
        mean, error = simulated.mean(axis=0), simulated.std(axis=0, ddof=1) / trials**0.5
        measured[name, target] = mean / one.minimum[few] - 1
        axis.errorbar(widths[few], mean, 2 * error, fmt="o", ms=5, color=colour, capsize=2)
    axis.set(title=name, xlabel=r"features per dimension $\psi_p = p/d$")
    axis.legend(title="target")
axes[0].set_ylabel("score error per coordinate, at the best ridge")
for (name, target), deviation in measured.items():
    print(f"{name}, {target}: simulation at d = {d} deviates by {100 * deviation[0]:.1f} %")

# %%
for name in laws:
    for psi_p in (1, 32):
        place = int(np.argmin(np.abs(widths - psi_p)))
        errors = ", ".join(f"{target} {one.minimum[place]:.3g}" for target, one in best[name].items())
        print(f"{name}, p/d = {widths[place]:.3g}: {errors}")

# %% [markdown]
# Isotropic data leave nothing to learn for the velocity: its best prediction is zero. Between the other two, noise is
# the better target for isotropic data, data for data in few directions: at p = d the noise target's network has to
# pass on the noise of the directions without data, and has no features to spare for it.
#
# ## Where noise and data change places
#
# Data of variance one per coordinate in a share of the directions. Colours: the better of the two at its own best
# ridge. Line: where they are equal, interpolated between the colours. Points: exact boundaries, solved for.

# %%
shares, grid = np.linspace(0.3, 1.0, 8), np.geomspace(0.1, 64, 25)
better = np.zeros((grid.size, shares.size))
crossings = []
for column, share in enumerate(shares):
    law = spectra.isotropic() if share == 1 else spectra.atoms([1 / share, 0.0], [share, 1 - share])
    family = rfdsm.Problem(n_over_d, grid, 4, t, 0.0, spectrum=law)
    found = rfdsm.optimal(family, ("target", "ridge"), targets=TARGETS[:2])
    better[:, column] = np.log(found.targets["noise"].minimum / found.targets["data"].minimum)
for share in (0.4, 0.7, 0.73):
    law = spectra.atoms([1 / share, 0.0], [share, 1 - share])
    line = rfdsm.Problem(n_over_d, 1.0, 4, t, 0.0, spectrum=law)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # shares at which they do not change places
        roots = rfdsm.boundary(line, ("noise", "data"), "psi_p", bounds=(0.1, 64), per_decade=12).roots
    roots = roots[~np.isnan(roots)]
    crossings += [(share, root) for root in roots]
    places = " and ".join(f"at p/d = {root:.2f}" for root in roots) or "nowhere"
    print(f"data in {share} of the directions: noise and data change places {places}")
crossings = np.array(crossings)

# %%
figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
size = np.abs(better).max()
mesh = axis.pcolormesh(shares, grid, better, cmap="PuOr_r", vmin=-size, vmax=size, shading="nearest")
figure.colorbar(mesh, label="log(score error of noise / of data)")
axis.contour(shares, grid, better, [0.0], colors="k", linewidths=1)
axis.plot(*crossings.T, "ko", ms=5, label="equal")
axis.set(yscale="log", xlabel="share of the directions that hold data", ylabel=r"features per dimension $\psi_p$")
_ = axis.legend(loc="lower left")

# %% [markdown]
# Where nearly all directions hold data, noise is the better target at every width. Below, there is a window of widths
# in which data are: from narrow networks, which can pass on neither, to wide ones, which can pass on both. The fewer
# the directions, the wider the window.
#
# ## More draws, other noise levels

# %%
law = laws["data in 1/4 of the directions"]
family = rfdsm.Problem.grid(n_over_d, 8.0, [1, 4, np.inf], [0.05, 0.3, 1.0], 0.0, spectrum=law)
found = rfdsm.optimal(family, ("target", "ridge"), targets=TARGETS)
for row, m in enumerate((1, 4, np.inf)):
    for column, time in enumerate((0.05, 0.3, 1.0)):
        ratio = found.targets["noise"].minimum[row, column] / found.targets["data"].minimum[row, column]
        print(f"m = {m}, t = {time}: the noise target's score error is {ratio:.3g} times that of the data target")

# %% [markdown]
# ## Real data
#
# The handwritten digits of scikit-learn, whose covariance has most of its variance in few directions: theory for
# their covariance at the best of 101 ridges, and networks trained on the digits themselves. Their true score is
# unknown, but not the excess of the test loss over that of another target: in units of the score, all have the same
# floor.

# %%
digits = rfdsm.data.standardise(rfdsm.data.load("digits"))
law = spectra.from_data(digits)
ridges = np.geomspace(1e-3, 1e2, 101)
for target in TARGETS:
    family = rfdsm.Problem(10.0, 2.0, 4, t, ridges, spectrum=law, target=target)
    losses = rfdsm.predict(family)
    best = int(np.argmin(losses.score))
    networks = rfdsm.simulate(family.at(ridge=ridges[best]), data=digits, trials=4, key=2)
    unit = float(family.asked.score_unit)
    theory, real = unit * losses.test[best], unit * networks.test.mean()
    print(f"{target}: score error in theory {losses.score[best]:.4f}, at a ridge of {ridges[best]:.3g}")
    print(f"    test loss in its unit {theory:.3f}, on the digits {real:.3f}")

# %% [markdown]
# ## What was learnt
#
# The target is not a matter of taste: at one width, one data set and one number of draws, errors of the score differ
# by factors of two to six. The velocity target is best where all directions have the same variance, and on the digits;
# the data target where few directions hold the data and the network is wide enough to see them; the noise target
# nowhere here. A change of target is free; more draws or features are not.
