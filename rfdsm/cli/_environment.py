"""What surrounds a command: accelerators and their settings. What is wrong with them is told in one line, by name."""

import os
import subprocess
import sys
import traceback
import warnings
from typing import Any

from rfdsm import compiled

_CACHE_TROUBLE = "Error (reading|writing) persistent compilation cache entry"


def start_jax(double: bool = True, cpu: bool = False, cache: bool = True) -> None:
    """Makes JAX ready to compute.

    Args:
        double: turn on 64-bit mode.
        cpu: leave accelerators alone, whatever JAX_PLATFORMS says: for what computes nothing.
        cache: keep what is compiled for the next command (`rfdsm.compiled`).

    Raises ValueError, naming the environment variable, if JAX cannot start.
    """
    _check_xla_flags()
    import jax

    if double:
        jax.config.update("jax_enable_x64", True)
    if cpu:
        jax.config.update("jax_platforms", "cpu")
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # it asserts that there is a device at all
        reason = str(error) or "there is no such device on this machine"
        given = _given("JAX_PLATFORMS", "JAX_PLATFORM_NAME") or "JAX"
        raise ValueError(f"{given} cannot be used: {reason}; JAX_PLATFORMS=cpu always can") from None
    if cache:
        _check_cache(jax.config.values["jax_compilation_cache_dir"], "JAX_COMPILATION_CACHE_DIR")
        if compiled.keep() is None and (told := os.environ.get(compiled.VARIABLE)):
            _check_cache(None if told.lower() in compiled.OFF else told, compiled.VARIABLE)
        # Another process may write what this one reads, or a disk be full: then it is compiled.
        warnings.filterwarnings("ignore", _CACHE_TROUBLE)
    else:
        compiled.keep_nothing()


def _given(*names: str) -> str:
    """Those environment variables that are set."""
    return ", ".join(f"{name} = {os.environ[name]}" for name in names if os.environ.get(name))


def _check_xla_flags() -> None:
    """XLA ends the process at a flag it does not know: another process tries."""
    flags = os.environ.get("XLA_FLAGS", "")
    if not flags.strip() or "jax" in sys.modules:
        return
    code = "from jaxlib import xla_client; xla_client.CompileOptions()"
    tried = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, errors="replace", check=False)
    if tried.returncode == 0 or "parse_flags" not in tried.stderr:
        return
    # Without the list of all flags that there are.
    reasons = [line.split("] ", 1)[-1] for line in tried.stderr.splitlines() if "_flags" in line.split("]")[0]]
    raise ValueError(f"XLA_FLAGS = {flags}: {reasons[0]}")


def _check_cache(folder: str | None, variable: str) -> None:
    """JAX warns of every single function that it cannot keep."""
    if not folder or "://" in folder:
        return
    if not compiled.usable(folder):
        text = f"{variable} = {folder} cannot be written: what is compiled is not kept"
        warnings.warn(text, RuntimeWarning, stacklevel=2)
        warnings.filterwarnings("ignore", _CACHE_TROUBLE)


def matplotlib_trouble(error: Exception) -> str | None:
    """Which of the user's settings an error while drawing comes from, in words; None if there are none to blame."""
    try:
        import matplotlib
    except Exception as failure:
        given = _given("MPLBACKEND", "MATPLOTLIBRC", "MPLCONFIGDIR")
        return f"matplotlib cannot start{' with ' + given if given else ''}: {failure}"
    if isinstance(error, MemoryError) or (isinstance(error, ValueError) and _own(error)):
        return None
    # A backend is looked up, windows and all, when its name is read.
    keys: Any = sorted(matplotlib.rcParams.keys() - {"backend"})
    own, usual = matplotlib.rcParams, matplotlib.rcParamsDefault
    changed = {key: own[key] for key in keys if own[key] != usual[key]}
    if not changed:
        return None
    # TeX is what most often is not there.
    if "text.usetex" in changed and "latex" in str(error).lower():
        changed = {"text.usetex": True}
    settings = ", ".join(f"{key} = {value}" for key, value in changed.items())
    return f"{settings} in {matplotlib.matplotlib_fname()}: {error}"


def _own(error: Exception) -> bool:
    """Whether this package raised it, about its own arguments."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(frames) and str(frames[-1].f_globals.get("__name__")).startswith("rfdsm.")
