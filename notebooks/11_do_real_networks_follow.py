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
# %% [markdown]
# # Do real networks follow?
#
# **The question.** The theory is of frozen random features at the minimum of their objective. Networks of practice
# learn their features, stop early, and know their level. What of the theory carries over: the order of the curves in
# the number of noise draws m, the peak of the test loss at as many numbers as draws, memorisation with few samples?

# %%
import jax
import matplotlib.pyplot as plt
import numpy as np

from rfdsm import networks, plots, sampling
from rfdsm.networks.judge import judge

# %% [markdown]
# ## Losses against width
#
# Perceptrons of two hidden layers on n = 64 normal points in d = 8 dimensions, at one level. Lines: random features
# with as many trained numbers, the same n/d, m, t and covariance, at a small ridge. No fit.

# %%
law = networks.gaussian(8)
study = networks.study(
    law, widths=[4, 16, 64, 192], m=[1, 4, np.inf], n=64, level=0.1, steps=2000, batch=128, seeds=2, record=[0, 2000]
)
plots.networks(study)[0].get_figure()

# %%
n, d = 64, 8
last = study.isel(step=-1).mean("network")
for m in (1, 4):
    test, theory = last.test.sel(m=m), study.theory_test.sel(m=m)
    at = float(study.parameters[np.argmax(test.values)]) / (n * m * d)
    peak = float(study.theory_parameters[np.argmax(theory.values)]) / (n * m * d)
    print(f"m = {m}: test is largest at {at:.2f} n m d numbers; of random features at {peak:.2f}")
wide = last.isel(width=-1)
for m in wide.m.values:
    cell = wide.sel(m=m)
    theory = study.sel(m=m).isel(theory_width=-1)
    pairs = [f"{name} {float(cell[name]):.2f} ({float(theory['theory_' + name]):.2f})" for name in ("train", "test")]
    print(f"m = {m:g}, widest, and theory: {', '.join(pairs)}; floor {float(cell.floor):.2f}")

# %% [markdown]
# ## Samples against the number of training points
#
# One perceptron for all levels, trained to predict the data with fresh noise; its samples beside those of a perfect
# generator (fresh points) and of a copier (training points with a little noise).

# %%
sampler = sampling.ddim(sampling.geometric(3, 0.02, 20))
small, levels = networks.gaussian(2), networks.levels.log_uniform(0.02, 3)
fresh = np.asarray(small.draw(jax.random.key(9), 1000))
start = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)
figure, axis = plt.subplots(figsize=(5.5, 3.6), layout="constrained")
for k, size in enumerate((4, 16, 64)):
    rows = small.draw(jax.random.key(1), size)
    training = networks.train(
        networks.mlp(2, 128), rows, target="data", levels=levels, steps=3000, batch=256, test=small, measured=1024
    )
    samples = np.asarray(sampling.generate(training.network, sampler, start, target="data"))
    judged = judge(samples, np.asarray(rows), fresh)
    copied = ", ".join(f"{name} {getattr(judged, name).copied:.2f}" for name in ("generated", "perfect", "copier"))
    print(f"n = {size}: copied {copied}; discrepancy to fresh points {judged.generated.to_fresh:.3f}")
    axis.loglog(training.steps[1:], training.losses.test[1:], f"C{k}", label=f"n = {size}, fresh points")
    axis.loglog(training.steps[1:], training.losses.empirical_test[1:], f"C{k}:", label=f"n = {size}, training points")
axis.set(xlabel="steps of Adam", ylabel="loss per coordinate, over all levels")
axis.legend(fontsize="small")
plt.show()

# %% [markdown]
# ## What was learnt
#
# **Follows.** The order of the training losses in m and their fall with width; networks that see one draw per point
# fit it, those with fresh noise cannot. Wide networks with fresh noise memorise their points: the loss on them falls
# below the floor, that on fresh points rises far above it. With four points a third of the samples are copies, with
# sixteen and more hardly more than of a perfect generator.
#
# **Does not.** The peak of the test loss at as many numbers as draws, and its descent beyond: the test loss of these
# perceptrons still rises at a hundred times as many numbers, where random features have come down again. Learned
# features fit the draws long before there are as many numbers as equations, and Adam in finite time is no minimiser.
