"""Objects that have a name and a few parameters, and their one notation: NAME or NAME:NUMBER,NUMBER,…

It is what the command line, configuration files, stores and titles write and read.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from rfdsm._values import is_traced, one_line

Kind = TypeVar("Kind", bound="Named")


@dataclass(frozen=True)
class Named:
    """Hashable when its parameters are concrete numbers."""

    name: ClassVar[str]

    @property
    def has_text(self) -> bool:
        """Whether its notation says it all: functions and traced numbers have none."""
        return not any(callable(value) or is_traced(value) for value in vars(self).values())

    def __str__(self) -> str:
        given = [value for value in vars(self).values() if value is not None]
        words = (getattr(value, "__name__", type(value).__name__) if callable(value) else f"{value}" for value in given)
        return f"{self.name}:{','.join(words)}" if given else self.name


def find(kind: type[Kind], what: str, value: Any, makers: Mapping[str, Callable[..., Kind]]) -> Kind:
    """The object of this notation, or the object itself. Raises ValueError for others, with the names there are."""
    if isinstance(value, kind):
        return value
    if isinstance(value, str):
        name, _, words = value.partition(":")
        if name in makers:
            try:
                return makers[name](*(_number(word) for word in words.split(",") if words))
            except TypeError:
                raise ValueError(f"{what} = {one_line(value)} has too many or too few numbers") from None
            except ValueError as error:
                raise ValueError(f"{what} = {one_line(value)}: {error}") from None
    raise ValueError(
        f"{what} = {one_line(value)} must be one of {', '.join(makers)}, or NAME:NUMBER,… of those that have numbers, "
        f"or come from rfdsm.{what}s"
    )


def _number(word: str) -> float | int:
    try:
        return int(word)
    except ValueError:
        number = float(word)
    if math.isnan(number):
        raise ValueError(f"{word!r} is not a number")
    return number
