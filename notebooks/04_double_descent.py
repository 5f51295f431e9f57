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
# # Double descent and malign overfitting
#
# **The question.** In regression, a network with far more parameters than data often overfits *benignly*: the
# test loss peaks where the network can just fit everything, and comes down again beyond. Does denoising score
# matching do the same when every sample is seen with m noise draws? Urfin, Bonnaire, Biroli and Mézard
# ([arXiv 2609.26392](https://arxiv.org/abs/2609.26392)) solve the random-feature model at finite m and
# answer: it peaks at p = nm, but for m > 1 it does not come back. This notebook draws their finite-m curves,
# holds them against the published formulas and against simulated networks, and measures each statement.
#
# Their setting: tanh features, diffusion time t = 0.1, ridge λ = 10⁻³, n/d = 8 samples per dimension,
# Gaussian data with identity covariance.

# %%
import matplotlib.pyplot as plt
import numpy as np

from rfdsm import Problem, compare, optimal, phase_diagram, phases, plots, predict
from rfdsm.theory import limits

inf = np.inf
psi_n, t, ridge = 8, 0.1, 1e-3
h = 1 - np.exp(-2 * t)  # variance of the noise
draws = [1, 4, 16, inf]

# %% [markdown]
# ## The published curves
#
# Values of the published formulas, to four decimals: the test loss against p/d, the training loss at m = 1
# and the loss on the training points with fresh noise at m = 4.

# %%
width = np.array([0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256])
published_test = {
    1: [0.9894, 0.9808, 0.9824, 1.0900, 1.5031, 2.7979, 1.6559, 1.1981, 1.0488, 0.9874, 0.9594],
    4: [0.9669, 0.9375, 0.8995, 0.9095, 0.9933, 1.2213, 1.8322, 2.8416, 2.0654, 1.6455, 1.4998],
    16: [0.9614, 0.9269, 0.8804, 0.8728, 0.9149, 1.0348, 1.3298, 1.9015, 2.7229, 3.4344, 3.1408],
    inf: [0.9595, 0.9235, 0.8741, 0.8612, 0.8916, 0.9860, 1.2268, 1.7009, 2.3755, 3.0836, 3.6574],
}
published_train = {1: [0.9287, 0.8626, 0.7543, 0.6232, 0.4137, 0.0730, 0.0015, 0.0001]}
published_points = {4: [0.9651, 0.9305, 0.8757, 0.8522, 0.8683, 0.9232, 1.0845, 1.3680, 0.7942, 0.5272, 0.4353]}
published = {"test": published_test, "train": published_train, "empirical_test": published_points}

for name, curves in published.items():
    for m, values in curves.items():
        computed = getattr(predict(Problem(psi_n, width[: len(values)], m, t, ridge)), name)
        print(f"{name:>14}, m = {m:3g}: largest difference {np.max(np.abs(computed - values)):.5f}")

# %% [markdown]
# All of them agree to one unit of the last decimal. These training losses are without the ridge penalty,
# `train`; the paper plots them with it, which is `objective` here:

# %%
losses = predict(Problem(psi_n, width[:8], 1, t, ridge))
print("published", *(f"{value:.4f}" for value in published_train[1]))
print("train    ", *(f"{value:.4f}" for value in losses.train))
print("objective", *(f"{value:.4f}" for value in losses.objective))

# %% [markdown]
# Now with simulated networks on top: real tanh networks in d = 32 dimensions, points with error bars. Lines
# are theory, crosses the published values.

# %%
comparison = compare(Problem.grid(psi_n, [4, 24], draws, t, ridge), d=32, trials=4)
curves = phase_diagram(Problem.grid(psi_n, np.geomspace(0.25, 256, 241), draws, t, ridge))

figure, axes = plt.subplots(1, 3, figsize=(14, 4.2), layout="constrained")
for axis, name in zip(axes, published, strict=True):
    plots.loss(axis, comparison.to_dataset().sel(loss=name), curves, name, "psi_p")
    axis.set_xlabel(plots.AXIS_LABELS["psi_p"])
    for values in published[name].values():
        axis.plot(width[: len(values)], values, "x", color="black", ms=5, zorder=5)
axes[1].plot([], [], "x", color="black", ms=5, label="published values")
axes[1].legend(fontsize="small")
plt.show()

# %%
print("relative deviation of simulated test losses from theory at d = 32, in per cent")
print("   p/d  " + "".join(f"m = {m:<7g}" for m in draws))
for width_simulated, row in zip([4, 24], comparison.relative_deviation[2, 0], strict=True):
    print(f"{width_simulated:6g}  " + "".join(f"{100 * value:+7.1f}    " for value in row))

# %% [markdown]
# ## Three regimes at fixed n/d
#
# The statement: below p = n the test loss depends on p only; between p = n and p = nm it is a rising function
# of p/n; at p = nm it peaks. We look at the excess over the floor (the loss of the true score), which is h
# times the score error, at m = 16.

# %%
samples, m = np.array([8, 16, 32, 64, 128]), 16
fixed_width, fixed_ratio = np.array([0.25, 0.5, 1, 2]), np.array([1, 2, 4, 8, 16, 32])
by_width = h * predict(Problem.grid(samples, fixed_width, m, t, ridge)).score
by_ratio = h * predict(Problem(samples[:, None], samples[:, None] * fixed_ratio, m, t, ridge)).score
print("       excess at fixed p/d               | at fixed p/n")
print(" n/d  |" + "".join(f"{x:8g}" for x in fixed_width) + " |" + "".join(f"{x:8g}" for x in fixed_ratio))
for number, left, right in zip(samples, by_width, by_ratio, strict=True):
    print(f"{number:4d}  |" + "".join(f"{x:8.4f}" for x in left) + " |" + "".join(f"{x:8.4f}" for x in right))
print("first row over last, p/d:", np.round(by_width[0] / by_width[-1], 2))
print("first row over last, p/n:", np.round(by_ratio[0] / by_ratio[-1], 2))

# %%
ratio = np.geomspace(1 / 64, 128, 401)
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.9), sharey=True, layout="constrained")
for number, colour in zip(samples, plots.COLOURS, strict=False):
    excess = h * predict(Problem(number, number * ratio, m, t, ridge)).score
    left.loglog(number * ratio, excess, color=colour, label=f"n/d = {number}")
    right.loglog(ratio, excess, color=colour)
left.set(
    xlabel="features per dimension p/d", ylabel="test loss minus floor", title="one curve while p is far below n …"
)
right.set(xlabel="features per sample p/n", title="… and one beyond p = n")
right.axvline(1, color="0.5", ls="-.", lw=1, label="p = n")
right.axvline(m, color="0.5", ls=":", lw=1, label="p = nm")
left.legend()
right.legend()
plt.show()

# %% [markdown]
# ## The peak
#
# `phases.peak` solves for the widths at which the exact derivative of the test loss vanishes at a maximum.
# NaN: no peak.

# %%
all_draws = [1, 2, 4, 16, inf]
for small in (1e-3, 1e-4, 1e-6):
    peak = phases.peak(Problem.grid(psi_n, 1, all_draws, t, small))
    for number, root, height in zip(all_draws, peak.roots[:, 0], peak.residual[:, 0] + 1, strict=True):
        print(
            f"ridge {small:g}, m = {number:3g}: peak at p/(nm) = {root / (psi_n * number):.4f}, test loss {height:.3f}"
        )

# %% [markdown]
# ## The plateau: benign for m = 1, malign for m > 1
#
# At fixed ridge and p/d → ∞ the curves end on a plateau, of which `theory.limits.kernel` has the closed
# equations. (The test loss of a network that outputs zero is 1; that of the true score is the floor a².)

# %%
times = [1, 0.3, 0.1, 0.03, 0.01, 0.001]
plateau = limits.kernel(Problem.grid(psi_n, inf, all_draws, times, 0))
print("test loss for p/d → ∞ at n/d = 8")
print("      t   floor  " + "".join(f"m = {number:<6g}" for number in all_draws) + "   a²/h")
for k, time in enumerate(times):
    signal = np.exp(-2 * time)
    row = "".join(f"{value:10.4f}" for value in plateau.test[:, k])
    print(f"{time:7g}  {signal:.4f}{row} {signal / (1 - signal):9.4f}")

# %% [markdown]
# Do more samples cure it? The excess of the plateau at t = 0.1 for more and more samples:

# %%
many = np.array([8, 32, 128, 512, 1e6])
plateau = h * limits.kernel(Problem.grid(many, inf, all_draws, t, 0)).score
print("    n/d  " + "".join(f"m = {number:<6g}" for number in all_draws))
for number, row in zip(many, plateau, strict=True):
    print(f"{number:7g}" + "".join(f"{value:10.4f}" for value in row))

# %% [markdown]
# ## Bias and fluctuations
#
# Averaged over all that is random (data, noise and features) the learned score is a multiple -b y of the
# noised point; the true score is -y here. So (1 - b)² is the squared bias, and the rest of the score error is
# what fluctuates from network to network. The package does not report b, but at both ends of m it follows
# from the losses: the optimal objective is c_t (1 - h b) ([theory](../docs/theory.md), section 4), with c_t =
# 1 at m = ∞, and c_t² = train/test at m = 1.

# %%
widths = np.array([0.25, 0.5, 1, 1.5, 2, 4, 8, 32, 128, 512, 2048])
one, infinite = (predict(Problem(psi_n, widths, number, t, ridge)) for number in (1, inf))
multiple_one = (1 - one.objective / np.sqrt(one.train / one.test)) / h
multiple_infinite = (1 - infinite.objective) / h
print("            m = 1                        m = inf")
print("    p/d        b     bias²  score error       b     bias²  score error")
for k, value in enumerate(widths):
    parts = [(multiple_one[k], one.score[k]), (multiple_infinite[k], infinite.score[k])]
    print(f"{value:7g}" + "".join(f"{b:10.4f}{(1 - b) ** 2:10.5f}{score:11.4f}  " for b, score in parts))
print(f"p/d → ∞ at m = inf: b = 1/h = {1 / h:.4f}, squared bias (a²/h)² = {(1 / h - 1) ** 2:.4f}")

# %% [markdown]
# ## A second peak, near mn = d
#
# Along n/d at fixed p there are two maxima of the test loss: at p = nm, and where the nm noisy draws just
# suffice to determine a linear map of d inputs, mn = d.

# %%
for time in (0.1, 1.0):
    peak = phases.peak(Problem.grid(1, 64, [1, 2, 4, 16], time, ridge), "psi_n")
    for number, roots in zip([1, 2, 4, 16], peak.roots, strict=True):
        places = ", ".join(f"{number * root:.3f}" for root in roots if np.isfinite(root))
        print(f"t = {time:g}, m = {number:2d}: maxima of test at mn/d = {places}")

# %%
axis_n, axis_p = np.geomspace(0.03, 100, 101), np.geomspace(1, 500, 101)
diagram = phase_diagram(Problem.grid(axis_n, axis_p, 16, t, ridge), along=("psi_n", "psi_p"))
figure, axis = plt.subplots(figsize=(7, 5.6), layout="constrained")
plots.heatmap(diagram, "test", axis, across="psi_n", along="psi_p")
plt.show()

# %% [markdown]
# ## The best ridge removes it all
#
# `optimal` finds the ridge of least test loss for each width and m.

# %%
fine = np.geomspace(0.25, 250, 31)
best = optimal(Problem.grid(psi_n, fine, all_draws, t, ridge), "ridge")
wide = optimal(Problem.grid(psi_n, [1, 10, 60, 1000], all_draws, t, ridge), "ridge")
print("largest step of the least test loss from one width to the next:", f"{np.diff(best.minimum, axis=0).max():.1e}")
print("largest step from one m to the next larger one:                ", f"{np.diff(best.minimum, axis=1).max():.1e}")
print("   p/d  " + "".join(f"m = {number:<6g}" for number in all_draws) + " least test loss, then the best ridge")
for k, value in enumerate([1, 10, 60, 1000]):
    row = "".join(f"{x:10.4f}" for x in wide.minimum[k]) + "  |" + "".join(f"{x:9.3f}" for x in wide["ridge"][k])
    print(f"{value:6d}{row}")

# %%
figure, axis = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
given = predict(Problem.grid(psi_n, fine, all_draws, t, ridge))
for k, number in enumerate(all_draws):
    label = "m = ∞" if np.isinf(number) else f"m = {number}"
    axis.semilogx(fine, given.test[:, k], color=plots.COLOURS[k], ls=":", lw=1)
    axis.semilogx(fine, best.minimum[:, k], color=plots.COLOURS[k], label=label)
axis.axhline(float(np.exp(-2 * t)), color="0.35", ls="--", lw=1, label="floor (true score)")
axis.set(ylim=(0.8, 1.3), xlabel=plots.AXIS_LABELS["psi_p"], ylabel="test loss per coordinate")
axis.set_title("best ridge (solid) and λ = 0.001 (dotted)", fontsize="medium")
axis.legend(fontsize="small")
plt.show()

# %% [markdown]
# ## What was learnt
#
# - The published values are reproduced to 0.0001, their last digit. Networks of d = 32 lie within 1.1 per
#   cent of the theory at p/d = 4, and up to 8.2 per cent off at p/d = 24, which is finite size
#   ([01](01_quick_start.ipynb)).
# - **Regimes.** Far below p = n the test loss depends on p only: from n/d = 8 to 128 the excess changes by a
#   factor of 1.02 at p/d = 0.25, but of 1.39 at p/d = 1 and 3.88 at p/d = 2, where it is small. From p = n on
#   it is a function of p/n, to a factor of 1.18 at p = n and 1.02 at p = 16n.
# - **Peak** at p = nm for every finite m: within 0.0001 of it (relative) with ridge 1e-6, a little beyond,
#   1.0360 for m = 1 and 1.0605 for m = 16, with ridge 0.001. None at m = ∞.
# - **Plateau.** For m = 1 it stays moderate as t falls, 1.1372 at t = 0.001, and more samples remove it: its
#   excess falls from 0.1142 at n/d = 8 to 0.0016 at n/d = 512. For m > 1 it grows as t falls, to 31.4638
#   already at m = 2, and with m; at m = ∞ it is a²/h for any number of samples. An excess of 0.0900 at m = 2
#   and 0.4706 at m = 4 is left at t = 0.1 however many samples there are: overfitting is benign at m = 1 and
#   malign beyond. At late times, t = 1, the plateau is harmless, and m = 16 is better than m = 1.
# - **Bias.** What infinitely many samples leave cannot be fluctuation: it is the bias of the plateau, and
#   vanishes for m = 1 only. At m = 1 the squared bias falls up to p = n and stays at 0.00011. At m = ∞ it
#   falls to 0.00029 at p/d = 1.5, well below p = n, because b passes 1 there; then the score is too steep and
#   the bias rises, to 20.4002 at infinite width. So it saturates in the sense of a plateau, not by ceasing to
#   fall.
# - **Second peak.** It lies at mn = d for few draws, at mn/d = 1.062 for m = 1, but at 3.635 for m = 16, and
#   it is gone at t = 1.
# - **The best ridge** makes the test loss fall with p and with m, everywhere on the grid, to 0.8290 for m = ∞
#   (floor 0.8187). That ridge grows in proportion to p for wide networks.
#
# ## Change this
#
# - `activation="relu"`: an activation with a kink has more noise of its own. Which of the statements change?
# - `spectrum=rfdsm.spectra.power_law(1, 1e-3)` in the plateaus: does more data help at m = 2?
# - `t = 0.5`: is the plateau of m = ∞ still above 1, the loss of a network that outputs zero?
