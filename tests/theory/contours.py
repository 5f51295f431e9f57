"""Contours of few nodes in the shape of many, for which code is compiled anyway."""

import numpy as np

from rfdsm.theory import _contour as contour


def filled(ratio: float, count: int, total: int) -> contour.Contour:
    """The contour of `count` nodes, an even number, and others without a weight."""
    few, more = contour.contour(ratio, count), (0, total - count)
    return contour.Contour(np.pad(few.nodes, more, "edge"), np.pad(few.weights, more))
