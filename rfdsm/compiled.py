"""What XLA compiled, kept on disk from one process to the next: by the command line and by workers of sweeps.

JAX has the cache, and a bound of its size that one process killed at the wrong moment disables for good: a file without
its companion stops every later one from being written. So the bound is kept here, once in each process: files that were
not used for longest go first. A truncated file costs its compilation again, and nothing else.
"""

import contextlib
import hashlib
import os
import platform
from pathlib import Path

__all__ = ["keep"]

VARIABLE = "RFDSM_CACHE"
"""Environment variable: a folder, or "off"."""
MOST = 2**28
"""Bytes that are kept; a command leaves some megabytes."""
OFF = ("off", "0", "no", "false")


def keep(folder: str | os.PathLike | None = None) -> Path | None:
    """Keep what is compiled from now on, and take from there what was compiled before.

    The command line and the workers of sweeps call this; a program of your own must ask. Whoever has told JAX where to
    keep it (JAX_COMPILATION_CACHE_DIR, or `jax.config`) is obeyed, unless a folder is given. It holds code that is
    run: do not share it with users you do not trust.

    Args:
        folder: where; None: that of the environment variable RFDSM_CACHE, else the user's cache folder of this
            platform. At most 256 MB are kept there; those not used for longest are removed.

    Returns:
        The folder; None if RFDSM_CACHE is "off", or if it cannot be written, which costs no more than the time.
    """
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    told = os.environ.get(VARIABLE, "")
    if folder is None:
        if told.lower() in OFF:
            return None
        if jax.config.values["jax_compilation_cache_dir"]:
            return Path(jax.config.values["jax_compilation_cache_dir"])
    place = _place(folder or told)
    if not usable(place):
        return None
    _bound(place, MOST)
    jax.config.update("jax_compilation_cache_dir", str(place))
    # Commands compile many small functions, and little of anything else.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    compilation_cache.reset_cache()  # or whatever was compiled before settled that there is none
    return place


def keep_nothing() -> None:
    """Neither read nor write a cache, whoever asked for one; processes started from here do the same."""
    import jax

    os.environ |= {VARIABLE: OFF[0], "JAX_ENABLE_COMPILATION_CACHE": "false"}
    jax.config.update("jax_enable_compilation_cache", False)


def usable(folder: str | os.PathLike) -> bool:
    """Whether files can be written there; the folder is made if it is not there."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.access(folder, os.W_OK | os.X_OK)
    except OSError:
        return False


def _place(folder: str | os.PathLike) -> Path:
    """Within the folder, a place for this kind of processor: homes are shared, and machine code is not."""
    if not folder:
        from platformdirs import user_cache_path

        folder = user_cache_path("rfdsm", appauthor=False)
    return Path(folder).expanduser() / f"compiled-{_processor()}"


def _processor() -> str:
    """A name for what this processor can do."""
    features = f"{platform.machine()} {platform.processor()}"
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        features += "".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
    return hashlib.sha256(features.encode()).hexdigest()[:12]


def _bound(folder: Path, most: int) -> None:
    """Remove what was not used for longest, until the rest is well below the bound."""
    found = []
    for path in folder.iterdir():
        with contextlib.suppress(OSError):  # another process removes, too
            status = path.stat()
            found.append((max(status.st_atime, status.st_mtime), status.st_size, path))
    size = sum(entry[1] for entry in found)
    if size <= most:
        return
    for _, one, path in sorted(found):
        if size <= 3 * most // 4:
            return
        with contextlib.suppress(OSError):
            path.unlink()
        size -= one
