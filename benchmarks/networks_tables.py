"""Tables of docs/networks.md from the figures of `benchmarks.networks`, in Markdown."""

from collections.abc import Iterator
from typing import Any

NAMES = {"gaussian": "normal", "digits": "digits"}
DRAWS = {"m_1": "1", "m_4": "4", "m_16": "16", "m_inf": "∞"}
POWER = {
    "copied": "copied", "nearest": "nearest", "to_fresh": "to the law", "to_training": "to the training set",
    "position": "position", "sign": "sign",
}  # fmt: skip


def widths(figures: dict[str, Any]) -> str:
    """Losses of the widest and the narrowest networks, theory's in brackets, and where the test loss is largest."""

    def rows() -> Iterator[list[str]]:
        for data, m, found in _cells(figures, "widths", DRAWS):

            def beside(loss: str, place: int, found: Any = found) -> str:
                return f"{found[loss][place]:.2f} ({found['theory_' + loss][place]:.2f})"

            peak = "–" if m == "m_inf" else f"{found['peak']:.2g} ({found['theory_peak']:.2g})"
            columns = (beside("train", -1), beside("empirical_test", -1), beside("test", 0), beside("test", -1))
            yield [NAMES[data], DRAWS[m], *columns, peak]

    heads = ["data", "m", "train, widest", "training points, widest", "test, narrowest", "test, widest"]
    return _table([*heads, "test largest at, n m d"], rows())


def times(figures: dict[str, Any]) -> str:
    """Where the test loss is least, and statistics there and at the end; null and alternative in brackets."""

    def rows() -> Iterator[list[str]]:
        for data, key, found in _cells(figures, "times"):

            def both(name: str, digits: int = 2, others: tuple[str, ...] = (), found: Any = found) -> str:
                values = [f"{found[place][name]:.{digits}f}" for place in ("stopped_at", "end_at")]
                beside = [f"{found[other][name]:.{digits}f}" for other in others]
                return ", ".join(values) + (f" ({', '.join(beside)})" if beside else "")

            pair = ("perfect", "copier")
            yield [
                NAMES[data], key.removeprefix("n_"), ", ".join(map(str, found["best_step"])), both("test"),
                both("copied", others=pair), both("to_fresh", 3, ("copier",)), both("to_training", 3, ("perfect",)),
                both("probability", others=pair), both("probability_sign", others=pair),
            ]  # fmt: skip

    heads = ["data", "n", "least test loss at step", "test loss", "copied", "to the law", "to the training set"]
    return _table([*heads, "P(Δ > 0)", "P(sign = 1)"], rows())


def power(figures: dict[str, Any]) -> str:
    """Of every statistic."""
    rows = (
        [NAMES[data], key.removeprefix("n_"), *(f"{found[name]:.2f}" for name in POWER)]
        for data, key, found in _cells(figures, "power")
    )
    return _table(["data", "n", *POWER.values()], rows)


def _cells(figures: dict[str, Any], part: str, keys: Any = None) -> Iterator[tuple[str, str, Any]]:
    for data in NAMES:
        found = figures[data][part]
        for key in found if keys is None else keys:
            if isinstance(found[key], dict):
                yield data, key, found[key]


def _table(heads: list[str], rows: Any) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
