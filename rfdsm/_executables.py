"""Machine code of the functions here: how XLA is asked to make it.

On a CPU most of a first answer is compilation, and its time follows the number of kernels. XLA's older way to emit them
takes little more than half as long, and LLVM's first level of optimisation a tenth less wall time and half the work of
all cores, for code that runs as fast and gives the same numbers to the last bit or two. (Level 0 does not.)
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax

from rfdsm._values import is_traced

T = TypeVar("T")

CPU_OPTIONS: dict[str, str | bool] = {
    "xla_cpu_use_fusion_emitters": False,
    "xla_backend_optimization_level": "1",
}


def jitted(function: Callable[..., T], **static: Any) -> Callable[..., T]:
    """`jax.jit`, with the options of this platform; within a transformation, where options have no place, without.

    Static arguments as there: `static_argnums`, `static_argnames`.
    """
    plain = jax.jit(function, **static)

    @functools.cache
    def on_cpu(told: tuple[Any, ...]) -> Callable[..., T]:
        return jax.jit(function, compiler_options=dict(told), **static)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> T:
        told = tuple(options().items())
        if told and not is_traced(jax.tree.leaves((args, kwargs))):
            try:
                return on_cpu(told)(*args, **kwargs)
            except ValueError as error:  # the function is a closure over something that is traced
                if "top-level `jax.jit`" not in str(error):
                    raise
        return plain(*args, **kwargs)

    return call


def options() -> dict[str, Any]:
    """What the compiler of the default platform is told: of the options those that this release of XLA knows."""
    if jax.default_backend() != "cpu":
        return {}
    return {name: value for name, value in CPU_OPTIONS.items() if _understood(name, value)}


@functools.cache
def _understood(name: str, value: Any) -> bool:
    try:
        jax.jit(lambda: 0).lower().compile(compiler_options={name: value})
    except jax.errors.JaxRuntimeError:
        return False
    return True
