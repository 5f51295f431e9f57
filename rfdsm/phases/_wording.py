"""Advice in plain words."""

from typing import Any

import numpy as np

from rfdsm.phases._evidence import Evidence

LITTLE_LINEAR = 0.01
"""Share of the linear part in an activation's variance below which it is named as the reason."""
MEANINGS = {
    "memorisation": "it memorises: the learned score is nearer to that of the {n} training points than to the true one",
    "noise_fitting": "it does not memorise the points, but fits the noise draws it was trained on",
    "generalisation": "it does not memorise: the learned score is not that of the {n} training points",
    "unknown": "the theory gives no answer here (infinite loss at p = nm without ridge, or no convergence)",
}


def number(value: float, digits: int = 3) -> str:
    """Three digits, and words where they say more."""
    if np.isnan(value):
        return "unknown"
    if np.isinf(value):
        return "infinity"
    return f"{value:.{digits}g}"


def count(value: float) -> str:
    """A number of features or steps."""
    return f"{value:.0f}" if value < 1e5 else f"{value:.3g}"


def advice_text(advice: Any) -> str:
    """The text of an `Advice`."""
    if advice.hopeless:
        asked = [_regime(advice)] if "p" in advice.given else []
        return "\n".join([_question(advice), *asked, f"What to do: {advice.hopeless}", *_spectrum(advice)])
    return "\n".join([_question(advice), _regime(advice), _boundary(advice), *_remedies(advice), *_trust(advice)])


def nothing_linear(activation: str) -> str:
    """Why no network of an activation without a linear part learns anything."""
    return (
        f"nothing is recommended. {activation} has no linear part (mu1 = 0), and only that of an activation can learn "
        "this score:\n  at no width and ridge is the test loss below that of no network. Take one that is not even, "
        "such as tanh or relu."
    )


def nothing_gained(test: float, floor: float, null: float, widest: int, linear: float) -> str:
    """Why nothing is recommended where the best network is no better than none."""
    text = (
        f"nothing is recommended. Even the best ridge and width p <= {widest} give test loss {test:.6g}, no better "
        f"than no network at all, {null:.6g} (best possible {number(floor)})."
    )
    if linear < LITTLE_LINEAR:
        text += (
            f"\n  Only the linear part of an activation can learn this score: here it is {linear:.1e} of the variance."
        )
    return text


def _question(a: Any) -> str:
    draws = "infinitely many noise draws" if np.isinf(a.m) else f"m = {a.m:.0f} noise draws"
    source = "covariance estimated from your rows" if a.data else f"{a.spectrum} covariance"
    width = "given" if "p" in a.given else "recommended"
    ridge = f"ridge {number(a.asked.ridge)}" if a.asked.ridge > 0 else "no ridge"
    sizes = f"n = {a.n} samples in d = {a.d} dimensions, {draws} per sample"
    setting = f"{sizes}, t = {number(a.t)}, {a.activation} features, {source}."
    if a.hopeless and "p" not in a.given:
        return setting
    return f"{setting}\nAsked about: p = {a.asked.p} features ({width}), {ridge}, trained to the end."


def _regime(a: Any) -> str:
    losses = a.asked.losses
    meaning = MEANINGS[a.asked.regime].format(n=a.n)
    if a.asked.regime == "generalisation" and a.asked.signed["point_fitting"] > 0:
        meaning += ":\n  drawn towards it, but still nearer to the true one"
    text = f"Will it memorise? Theory: {meaning}."
    text += (
        f"\n  test loss {number(losses['test'])} (best possible {number(losses['floor'])}, no network 1), "
        f"loss on the training points {number(losses['empirical_test'])}, on its own noise draws "
        f"{number(losses['train'])}."
    )
    if a.asked.harmful:
        text += "\n  Worse than no network at all: the test loss is above 1."
    return text


def _boundary(a: Any) -> str:
    if np.isnan(a.boundary_p):
        return "No width makes it cross into or out of memorisation at this ridge."
    verb = "begins" if a.boundary_rising else "ends"
    ratio = a.boundary_p / a.n
    return f"Memorisation {verb} at p = {count(a.boundary_p)} features (p/n = {number(ratio)}) at this ridge."


def _remedies(a: Any) -> list[str]:
    here, best, stop = a.ridge_at_width, a.best, a.stopping
    lines = ["What to do:"]
    effect = "" if here.regime != "memorisation" else ", and it still memorises"
    lines.append(
        f"  ridge: {number(here.ridge)} at p = {here.p} gives test loss {number(here.losses['test'], 4)}{effect}."
    )
    lines.append(
        f"  width: p = {best.p} with ridge {number(best.ridge)} gives test loss {number(best.losses['test'], 4)}, "
        f"within 5 % (above the floor) of the best at any p <= {a.widest}; regime: {best.regime.replace('_', '-')}."
    )
    if np.isinf(stop.time):
        lines.append("  stopping: train to the end; at this width and ridge the test loss keeps falling.")
    else:
        steps = "" if stop.steps is None else f" ({count(stop.steps)} steps at your learning rate)"
        lines.append(
            f"  stopping: at p = {a.asked.p} and {'this' if 'ridge' in a.given else 'no'} ridge stop at flow time "
            f"{number(stop.time)}{steps}: test loss {number(stop.test, 4)} instead of {number(stop.final, 4)}."
        )
    if np.isfinite(stop.memorisation_time):
        steps = "" if stop.memorisation_steps is None else f" ({count(stop.memorisation_steps)} steps)"
        lines.append(f"            It memorises from flow time {number(stop.memorisation_time)}{steps} on.")
    return [*lines, *_targets(a)]


def _targets(a: Any) -> list[str]:
    """Which target, and why: how many directions there are to learn, and how well that goes."""
    (best, (score, share)), *others = a.targets.items()
    rest = ", ".join(f"{name} {number(value)}" for name, (value, _) in others)
    if share == 0:
        why = "its best answer is zero: there is nothing to learn"
    else:
        shares = ", ".join(f"{name} {value:.0%}" for name, (_, value) in others)
        why = f"it has to learn a map along {share:.0%} of the directions ({shares})"
    return [
        f"  target: at p = {a.asked.p}, each at its best ridge, {best} has the least score error, {number(score)} "
        f"({rest}):\n          {why}."
    ]


def _trust(a: Any) -> list[str]:
    evidence = a.evidence
    if not isinstance(evidence, Evidence):
        return [f"How sure: {evidence}. Deviations from theory are of order 1/d = {number(1 / a.d)}.", *_spectrum(a)]
    deviation, error = evidence.mean["test"] - evidence.theory["test"], evidence.error["test"]
    what = f"{evidence.trials} networks of d = {evidence.d}, n = {evidence.n}, p = {evidence.p}"
    if evidence.rows is not None:
        what += f" trained on your rows (tested on the other {evidence.rows - evidence.n})"
    lines = [
        f"How sure: {what} have test loss {number(evidence.mean['test'], 4)} ± {number(error, 2)}, theory of that size "
        f"{number(evidence.theory['test'], 4)} ({_percent(deviation, evidence.theory['test'])})."
    ]
    lines += _spectrum(a)
    if evidence.rows is not None:
        on_points, of_theory = (number(values["empirical_test"]) for values in (evidence.mean, evidence.theory))
        lines.append(
            f"  {_gaussian(evidence)} Measured on yours: regime {evidence.regime.replace('_', '-')}, loss on the "
            f"training points {on_points} (theory {of_theory})."
        )
        if (evidence.n, evidence.p) != (a.n, a.asked.p):
            lines.append("  That is not the size asked about: rows are held out, and wide networks are not simulated.")
    elif not evidence.same_size:
        at_d, its_error = evidence.expected("test")
        lines.append(
            f"  Deviations are O(1/d): at d = {a.d} expect the test loss to be off by {number(at_d, 2)} ± "
            f"{number(its_error, 1)}."
        )
    margin, uncertainty = a.margin
    clear = abs(margin) > uncertainty
    lines.append(
        f"  Memorisation margin {margin:+.3g}, uncertain by {number(uncertainty, 2)} "
        f"({'positive' if margin > 0 else 'negative'}: {'memorises' if margin > 0 else 'does not memorise'}): "
        + ("the answer is clear." if clear else "too close to call.")
    )
    return lines


def _spectrum(a: Any) -> list[str]:
    """What the rows leave open, where the spectrum is estimated from them."""
    if not a.data:
        return []
    lines = [
        "  The population's spectrum is estimated from your rows: that leaves the test loss uncertain by "
        f"± {number(a.spectrum_error['test'], 2)}, the best possible by ± {number(a.spectrum_error['floor'], 2)}."
    ]
    if a.copies:
        lines.append(
            f"  {a.copies} of your rows are exact copies of others, but count as new samples here, and are trained on "
            "and tested on at once: drop them if they are not independent."
        )
    return lines


def _gaussian(evidence: Evidence) -> str:
    """Whether the rows behave as Gaussian ones do."""
    if not evidence.gaussian:
        return "Theory is that of Gaussian rows."
    mean, spread = evidence.gaussian["test"]
    twins = f"Gaussian rows of that covariance deviate by {100 * mean:+.2g} ± {100 * spread:.1g} %"
    if evidence.not_gaussian:
        return f"Your rows are not Gaussian, the theory is of Gaussian data: {twins}."
    return f"Your rows deviate from theory no more than Gaussian ones: {twins}."


def _percent(deviation: float, theory: float) -> str:
    return f"{deviation / theory:+.2%}" if np.isfinite(theory) and theory != 0 else "no finite value"
