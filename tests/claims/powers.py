"""Powers of ten as pages write them."""

import math

from benchmarks.pages import SUPERSCRIPTS


def ten(value: float) -> str:
    """10⁻³ for 0.001. The value must be a power of ten."""
    exponent = round(math.log10(value))
    assert math.isclose(value, 10.0**exponent, rel_tol=1e-9), f"{value} is no power of ten"
    return "10" + str(exponent).translate(SUPERSCRIPTS)


def ten_above(value: float) -> str:
    """The smallest power of ten that bounds the value."""
    return ten(10.0 ** math.ceil(math.log10(value)))
