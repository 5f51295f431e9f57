"""What callers may hand over, for readers and type checkers.

At run time all of these are anything: the doors look at values and refuse them in words, which a check of types before
them, such as the tests have, would forestall.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal
    from fractions import Fraction
    from typing import Protocol

    import jax
    import numpy as np
    from jax.typing import ArrayLike

    from rfdsm._laws import Law
    from rfdsm.activations import Activation
    from rfdsm.schedules import Schedule
    from rfdsm.spectra import Spectrum
    from rfdsm.targets import Target

    class _Array(Protocol):
        """A data frame, a tensor."""

        def __array__(self) -> np.ndarray: ...

    Number = float | np.number | np.ndarray | jax.Array
    """One."""
    Numbers = ArrayLike | Number | Fraction | Decimal | Sequence[Any] | _Array
    """One or an array of them, nested lists too."""
    Count = int | np.integer
    Dimensions = Count | Sequence[Count] | np.ndarray
    """One or several."""
    KeyLike = Count | jax.Array | np.ndarray
    """A seed, a typed JAX key or the words of an old one."""
    Rows = Numbers | Law
    """Samples, shape (rows, d)."""
    DTypeName = str | type[Any] | np.dtype
    """"float64" or "float32", or what NumPy takes for them."""
    Devices = Sequence[jax.Device]
    ActivationLike = str | Activation
    ScheduleLike = str | Schedule
    TargetLike = str | Target
    SpectrumLike = Spectrum
    FieldLike = str | Sequence[TargetLike]
    """Of a boundary: a signed field, or two targets."""
else:
    Number = Numbers = Count = Dimensions = KeyLike = Rows = DTypeName = Devices = Any
    ActivationLike = ScheduleLike = TargetLike = SpectrumLike = FieldLike = Any
