"""What is computed once for an activation: kept for the activations used last, and released together with them.

JAX keeps what it compiles as long as the function it was compiled for. For activations that users write that would be
for good: every lambda is another function, and megabytes of machine code belong to it.
"""

from collections.abc import Callable, Hashable
from functools import lru_cache, partial, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
ACTIVATIONS = 16
"""How many; those that have names are eleven."""


def kept(maxsize: int) -> Callable[[Callable[Concatenate[Any, P], T]], Callable[Concatenate[Any, P], T]]:
    """Decorator of functions whose first argument is an activation: of each the `maxsize` last results are kept.

    All arguments must be hashable. Compiled functions must be results of such a function: `jax.jit` applied to a
    closure over the activation, not to a function that takes it as a static argument.
    """

    def decorate(function: Callable[Concatenate[Any, P], T]) -> Callable[Concatenate[Any, P], T]:
        @wraps(function)
        def remembering(activation: Any, *args: P.args, **kwargs: P.kwargs) -> T:
            shelf = _shelf(activation)
            if function not in shelf:
                shelf[function] = lru_cache(maxsize)(partial(function, activation))
            return shelf[function](*args, **kwargs)

        return remembering

    return decorate


@lru_cache(ACTIVATIONS)
def _shelf(activation: Hashable) -> dict[Callable[..., Any], Callable[..., Any]]:
    del activation
    return {}
