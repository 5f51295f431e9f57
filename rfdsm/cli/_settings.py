"""From words to values: reads options and the configuration file, and decides which of them holds.

Precedence: command line, then the command's table of the file, then the file's top level, then the default. Every error
is a ValueError whose text says where the words came from.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from typing import Any, NamedTuple

from rfdsm.cli._generation_options import SAMPLER_DEFAULTS, SWEEP_DEFAULTS, GenerateOptions, SweepOptions
from rfdsm.cli._options import (
    DEFAULTS,
    CompareOptions,
    ExploreOptions,
    NetworksOptions,
    PredictOptions,
    SimulateOptions,
    TrainCurveOptions,
)
from rfdsm.cli._phase_options import PHASE_COMMANDS

COMMANDS: dict[str, Any] = dict(compare=CompareOptions, predict=PredictOptions, simulate=SimulateOptions)
COMMANDS |= {"sweep": SweepOptions} | PHASE_COMMANDS | {"train-curve": TrainCurveOptions, "generate": GenerateOptions}
COMMANDS |= {"networks": NetworksOptions, "explore": ExploreOptions}
LARGEST_KEY = 2**32 - 1
LONGEST_RANGE = 10**6


class Program(NamedTuple):
    """Commands that share options, each with a dataclass of its options, and their defaults."""

    name: str
    commands: Mapping[str, Any]
    defaults: Mapping[str, str]


RFDSM = Program("rfdsm", COMMANDS, DEFAULTS | SWEEP_DEFAULTS | SAMPLER_DEFAULTS)


class Given(NamedTuple):
    """The words given for one name, and where they stand."""

    where: str
    words: list[str]


class Settings(dict[str, Any]):
    """Values by name. `given` holds the names that the user set, which is what defaults may depend on."""

    given: frozenset[str]

    def refuse(self, why: str, *names: str) -> None:
        """Raises ValueError, with this reason, for the first of these names that the user set."""
        for name in names:
            if name in self.given:
                raise ValueError(f"{name} {why}")


def resolve(command: str, options: Any, config: str | None, program: Program = RFDSM) -> Settings:
    """The values that `command` runs with; names without value or default are absent.

    Raises ValueError for a word that cannot be read, for an unreadable file and for a name it must not hold.
    """
    given = {} if config is None else _from_file(config, command, program)
    given |= _from_options(options)
    names = [field.name for field in fields(program.commands[command])]
    defaults = {name: Given(name, program.defaults[name].split()) for name in names if name in program.defaults}
    readers = _READERS | _READERS_OF.get(command, {})
    settings = Settings({name: readers[name](*words) for name, words in (defaults | given).items()})
    settings.given = frozenset(given)
    for name in ("header", "index"):
        if name in given and "data" not in given:
            raise ValueError(f"{given[name].where}: needs data, FILE.csv")
    return settings


def _from_options(options: Any) -> dict[str, Given]:
    given = {}
    for field in fields(options):
        value = getattr(options, field.name)
        if value is not None:
            given[field.name] = Given("--" + field.name.replace("_", "-"), _words(value))
    return given


def _from_file(source: str, command: str, program: Program) -> dict[str, Given]:
    from rfdsm._files import located

    path = located(source, "--config")
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        raise ValueError(f"--config {path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"--config {path}: not a TOML file: {error}") from None
    tables = {name: content.pop(name) for name in program.commands if isinstance(content.get(name), dict)}
    given = _from_table(content, command, str(path), program)
    # Tables of the other commands are read too: a misspelt name should not wait for the day it is used.
    for name, table in tables.items():
        own = _from_table(table, name, f"{path} [{name}]", program)
        if name == command:
            given |= own
    return given


def _from_table(table: Mapping[str, Any], command: str, where: str, program: Program) -> dict[str, Given]:
    allowed = [field.name for field in fields(program.commands[command])]
    given: dict[str, Given] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in allowed:
            raise ValueError(f"{where}: unknown key {key!r}; {program.name} {command} allows {', '.join(allowed)}")
        if name in given:
            raise ValueError(f"{where}: {name} is given twice, as {name!r} and {name.replace('_', '-')!r}")
        items = value if isinstance(value, list) else [value]
        if not all(isinstance(item, int | float | str) for item in items):
            raise ValueError(f"{where}: {key} = {value!r} must be a number, a text or a list of them")
        given[name] = Given(f"{where}: {key}", _words(value))
    return given


def _words(value: Any) -> list[str]:
    """A value as the words that one would type for it."""
    if isinstance(value, list):
        return [word for item in value for word in _words(item)]
    return [str(value).lower() if isinstance(value, bool) else str(value)]


def _separated(where: str, words: list[str]) -> list[str]:
    parts = [part for word in words for part in word.replace(",", " ").split()]
    if not parts:
        raise ValueError(f"{where}: needs at least one value")
    return parts


def number(where: str, word: str) -> float:
    """A word as a float. Raises ValueError naming `where` and the word."""
    try:
        return float(word)
    except ValueError:
        raise ValueError(f"{where}: {word!r} is not a number") from None


def _numbers(where: str, words: list[str]) -> float | list[float]:
    """One number, or the list of numbers that spans an axis of the grid."""
    values = [value for part in _separated(where, words) for value in _range(where, part)]
    return values[0] if len(values) == 1 else values


def _range(where: str, part: str) -> list[float]:
    """A number, or LOW:HIGH:COUNT, that many values in equal ratios."""
    if ":" not in part:
        return [number(where, part)]
    words = part.split(":")
    if len(words) != 3:
        raise ValueError(f"{where}: {part!r} must be a number or LOW:HIGH:COUNT")
    low, high, count = number(where, words[0]), number(where, words[1]), _positive(where, words[2])
    if not (0 < low < high < float("inf") and 2 <= count <= LONGEST_RANGE):
        raise ValueError(f"{where}: {part!r} must have 0 < LOW < HIGH, finite, and COUNT >= 2, <= {LONGEST_RANGE}")
    return [low * (high / low) ** (k / (count - 1)) for k in range(count - 1)] + [high]


def _pair(where: str, words: list[str]) -> list[float]:
    values = [number(where, part) for part in _separated(where, words)]
    if len(values) != 2:
        raise ValueError(f"{where}: needs two values, LOW and HIGH, has {len(values)}")
    return values


def _words_of(where: str, words: list[str]) -> list[str]:
    """Words as they are: numbers in them may be separated by commas."""
    if not words:
        raise ValueError(f"{where}: needs at least one value")
    return words


def _one_number(where: str, words: list[str]) -> float:
    return number(where, _text(where, words))


def _text(where: str, words: list[str]) -> str:
    if len(words) != 1 or not words[0].strip():
        raise ValueError(f"{where}: needs one value, has {' '.join(words).strip() or 'none'}")
    return words[0].strip()


def _positive(where: str, word: str) -> int:
    try:
        value = int(word)
    except ValueError:
        value = 0
    if value < 1:
        raise ValueError(f"{where}: {word!r} must be an integer >= 1")
    return value


def _integer(where: str, words: list[str]) -> int:
    return _positive(where, _text(where, words))


def _natural(where: str, words: list[str]) -> int:
    return 0 if _text(where, words) == "0" else _integer(where, words)


def _integers(where: str, words: list[str]) -> int | list[int]:
    values = [_positive(where, part) for part in _separated(where, words)]
    return values[0] if len(values) == 1 else values


def _key(where: str, words: list[str]) -> int:
    word = _text(where, words)
    # isdecimal also takes digits of other scripts, which int reads as well.
    if not word.isdecimal() or int(word) > LARGEST_KEY:
        raise ValueError(f"{where}: {word!r} must be an integer from 0 to {LARGEST_KEY}")
    return int(word)


def _one_of(allowed: tuple[str, str], where: str, words: list[str]) -> str:
    word = _text(where, words)
    if word not in allowed:
        raise ValueError(f"{where}: {word!r} must be {' or '.join(allowed)}")
    return word


def _boolean(where: str, words: list[str]) -> bool:
    return _one_of(("true", "false"), where, words) == "true"


_READ_BY: dict[Callable[[str, list[str]], Any], str] = {
    _text: "activation spectrum schedule target data output store executor resume sampler rule network networks field "
    "along minimise",
    _one_number: "smoothing first last start initial learning_rate",
    _numbers: "psi_n psi_p psi m t T ridge noise_scale sigma times levels",
    _pair: "bounds ridge_bounds psi_p_bounds psi_n_bounds t_bounds m_bounds",
    _integer: "trials fresh steps samples depth batch seeds markers n p max_p",
    _integers: "d widths",
    _natural: "budget port",
    _key: "key",
    _separated: "quantities over",
    _words_of: "targets",
    partial(_one_of, ("float32", "float64")): "dtype",
    _boolean: "header index retry_failed confirm plot simulate keep_samples cache best_ridge browser",
}
_READERS = {name: reader for reader, names in _READ_BY.items() for name in names.split()}
# Where the name of an option means something else than elsewhere.
_READERS_OF: dict[str, dict[str, Callable[[str, list[str]], Any]]] = {
    "phases": {"plot": _text, "along": _separated, "d": _integer},
    "boundary": {"plot": _text},
    "optimal": {"plot": _text},
    "advise": {"plot": _text, "d": _integer} | dict.fromkeys(("t", "m", "ridge"), _one_number),
    "networks": {"d": _integer},
    "explore": dict.fromkeys(("psi_n", "psi_p", "m", "t", "ridge"), _one_number),
}
