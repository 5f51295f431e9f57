"""The state of a training on disk: whole or not at all, whatever kills the process."""

import json
import os
from pathlib import Path
from typing import Any

import equinox as eqx

FORMAT = 1


def save(path: Path, state: Any, about: dict[str, Any]) -> None:
    """Written beside, forced to the disk, and renamed."""
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("wb") as file:
        file.write((json.dumps({"format": FORMAT} | about) + "\n").encode())
        eqx.tree_serialise_leaves(file, state)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def restore(path: Path, like: Any, about: dict[str, Any]) -> Any:
    """The state, of the structure of `like`; None where there is none. ValueError for that of another training."""
    if not path.exists():
        return None
    with path.open("rb") as file:
        try:
            there = json.loads(file.readline())
        except ValueError:
            raise ValueError(f"checkpoint {path} is no state of a training") from None
        for name, value in ({"format": FORMAT} | about).items():
            if there.get(name) != value:
                raise ValueError(
                    f"checkpoint {path} belongs to another training: {name} = {there.get(name)} there, {value} here"
                )
        try:
            return eqx.tree_deserialise_leaves(file, like)
        except Exception as error:  # of whatever reads the leaves
            raise ValueError(f"checkpoint {path} cannot be read: {' '.join(str(error).split())[:200]}") from None
