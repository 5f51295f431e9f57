"""The examples in docstrings do what they say."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import rfdsm

FINDER = doctest.DocTestFinder(exclude_empty=True)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
EXAMPLES = {
    example.name: example
    for module in pkgutil.walk_packages(rfdsm.__path__, "rfdsm.")
    if not module.name.endswith("__main__")
    for example in FINDER.find(importlib.import_module(module.name))
    if example.examples
}


@pytest.mark.slow
@pytest.mark.usefixtures("one_contour")
@pytest.mark.parametrize("name", EXAMPLES)
def test_examples(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    outcome = doctest.DocTestRunner(optionflags=FLAGS).run(EXAMPLES[name])
    assert outcome.attempted > 0 and outcome.failed == 0


def test_every_public_function_has_one():
    functions = [value for value in map(rfdsm.__getattr__, rfdsm.__all__) if inspect.isfunction(value)]
    assert len(functions) > 10
    without = [f.__name__ for f in functions if f"{f.__module__}.{f.__name__}" not in EXAMPLES]
    assert without == []
