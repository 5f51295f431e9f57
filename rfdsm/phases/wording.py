"""Advice in plain words."""

from typing import Any

import numpy as np

from rfdsm.phases.evidence import Evidence

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
    return "\n".join([_question(advice), _regime(advice), _boundary(advice), *_remedies(advice), *_trust(advice)])


def _question(a: Any) -> str:
    draws = "infinitely many noise draws" if np.isinf(a.m) else f"m = {a.m:.0f} noise draws"
    source = "your rows' covariance" if a.data else f"{a.spectrum} covariance"
    width = "given" if "p" in a.given else "recommended"
    ridge = f"ridge {number(a.asked.ridge)}" if a.asked.ridge > 0 else "no ridge"
    return (
        f"n = {a.n} samples in d = {a.d} dimensions, {draws} per sample, t = {number(a.t)}, {a.activation} features, "
        f"{source}.\nAsked about: p = {a.asked.p} features ({width}), {ridge}, trained to the end."
    )


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
    return lines


def _trust(a: Any) -> list[str]:
    evidence = a.evidence
    if not isinstance(evidence, Evidence):
        return [f"How sure: {evidence}. Deviations from theory are of order 1/d = {number(1 / a.d)}."]
    deviation, error = evidence.mean["test"] - evidence.theory["test"], evidence.error["test"]
    what = f"{evidence.trials} networks of d = {evidence.d}, n = {evidence.n}, p = {evidence.p}"
    if evidence.rows is not None:
        what += f" trained on your rows (tested on the other {evidence.rows - evidence.n})"
    lines = [
        f"How sure: {what} have test loss {number(evidence.mean['test'], 4)} ± {number(error, 2)}, theory of that size "
        f"{number(evidence.theory['test'], 4)} ({_percent(deviation, evidence.theory['test'])})."
    ]
    if evidence.rows is not None:
        lines.append(
            f"  Your rows are not Gaussian, the theory is of Gaussian data with their covariance. Measured on them: "
            f"regime {evidence.regime.replace('_', '-')}, loss on the training points "
            f"{number(evidence.mean['empirical_test'])} (theory {number(evidence.theory['empirical_test'])})."
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


def _percent(deviation: float, theory: float) -> str:
    return f"{deviation / theory:+.2%}" if np.isfinite(theory) and theory != 0 else "no finite value"
