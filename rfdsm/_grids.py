"""A problem is a grid: numeric fields that broadcast against each other, and structure that all of its cells share."""

import dataclasses
from typing import Any, ClassVar, TypeVar

import numpy as np

from rfdsm._printing import Printed
from rfdsm._values import is_traced

G = TypeVar("G", bound="Grid")


class Grid(Printed):
    """What the problems of all models have in common: a pytree whose leaves are its numeric fields."""

    FIELDS: ClassVar[tuple[str, ...]]
    STRUCTURE: ClassVar[tuple[str, ...]]

    def __hash__(self) -> int:
        """By value, as problems are compared: one may be a key of a dict, or static structure of a jitted function."""
        named = [getattr(self, name) for name in self.FIELDS]
        if is_traced(named):
            raise TypeError("a problem that JAX is tracing has no values to hash")
        arrays = (np.asarray(values) for values in named)
        own = [(values.shape, values.dtype.str, values.tobytes()) for values in arrays]
        return hash((*own, *(getattr(self, name) for name in self.STRUCTURE)))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Copies and unpickled problems are read-only too."""
        for value in state.values():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
        vars(self).update(state)

    @property
    def shape(self) -> tuple[int, ...]:
        """Broadcast shape of the numeric fields, which is the shape of every result."""
        return np.broadcast_shapes(*(np.shape(getattr(self, name)) for name in self.FIELDS))

    def at(self: G, **fields: Any) -> G:
        """The same problem with other values of these fields, checked as at first.

        Examples:
            >>> from rfdsm import Problem
            >>> problem = Problem(psi_n=8, psi_p=[1, 2, 4], m=4, t=0.1, ridge=1e-3)
            >>> problem.at(psi_p=2, target="velocity").shape
            ()
        """
        return dataclasses.replace(self, **fields)

    def broadcast(self, *names: str, shape: tuple[int, ...] = ()) -> tuple[np.ndarray, ...]:
        """These of its numbers, read-only, all of the problem's shape broadcast with `shape`; every field by default.

        Examples:
            >>> from rfdsm import Problem
            >>> psi_n, psi_p = Problem(psi_n=8, psi_p=[1, 2, 4], m=4, t=0.1, ridge=1e-3).broadcast("psi_n", "psi_p")
            >>> psi_n.tolist()
            [8.0, 8.0, 8.0]
        """
        whole = np.broadcast_shapes(self.shape, shape)
        return tuple(np.broadcast_to(np.asarray(getattr(self, name)), whole) for name in names or self.FIELDS)
