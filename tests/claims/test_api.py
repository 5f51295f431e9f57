"""docs/api: every public name stands there exactly once, and nothing that is not there; every page is in an index."""

import ast
import importlib
import inspect
import re
from collections import Counter
from typing import Any

import rfdsm
from tests.claims.ledger import ROOT

PAGES = sorted((ROOT / "docs" / "api").glob("*.md"))
DIRECTIVES = re.compile(r"^\.\. (?:auto(?:function|class|exception)|py:data):: (\S+)$", re.MULTILINE)
DOCUMENTED = [name for path in PAGES for name in DIRECTIVES.findall(path.read_text())]


def resolved(name: str) -> Any:
    parent, _, last = name.rpartition(".")
    return getattr(importlib.import_module(parent), last)


def stub_names() -> list[str]:
    tree = ast.parse((ROOT / "rfdsm" / "__init__.pyi").read_text())
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return [alias.asname or alias.name for node in imports for alias in node.names]


def public(module: Any) -> dict[str, Any]:
    """What a public submodule offers: its __all__, or what it defines or imports by an explicit `as`."""
    if hasattr(module, "__all__"):
        return {name: getattr(module, name) for name in module.__all__}
    nodes = [node for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.ImportFrom)]
    names = [alias.name for node in nodes for alias in node.names if alias.asname == alias.name]
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
    constants = [name for name in vars(module) if name.isupper() and module is rfdsm.datasets and name == "LONG_NAMES"]
    return {name: getattr(module, name) for name in {*names, *own, *constants} if not name.startswith("_")}


def identity(name: str, value: Any) -> Any:
    """Functions and classes are themselves wherever they are imported; constants go by their name."""
    return value if inspect.isroutine(value) or inspect.isclass(value) else name


def wanted() -> dict[Any, str]:
    found: dict[Any, str] = {}
    modules = []
    for name in stub_names():
        value = getattr(rfdsm, name)
        if inspect.ismodule(value):
            modules.append((f"rfdsm.{name}", value))
        else:
            found[identity(f"rfdsm.{name}", value)] = f"rfdsm.{name}"
    modules.append(("rfdsm.theory.limits", rfdsm.theory.limits))
    for path, module in modules:
        for name, value in public(module).items():
            if not inspect.ismodule(value):
                found.setdefault(identity(f"{path}.{name}", value), f"{path}.{name}")
    return found


def test_every_public_name_is_documented_once_by_a_docstring():
    count = Counter(identity(name, resolved(name)) for name in DOCUMENTED)
    names = wanted()
    assert [names[key] for key in names if count[key] != 1] == []
    assert max(count.values()) == 1
    assert [name for name in DOCUMENTED if not (resolved(name).__doc__ or "").strip()] == []


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "api" / "index.md").read_text()
    listed = re.search(r"```\{toctree\}\n.*?\n\n(.*?)```", index, flags=re.DOTALL)
    assert listed and sorted(listed[1].split()) == [path.stem for path in PAGES if path.stem != "index"]


def test_index_lists_every_page():
    index = (ROOT / "docs" / "index.md").read_text()
    listed = {line.split("<")[-1].rstrip(">") for line in index.splitlines()}
    pages = [path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "api" and path.name != "index.md"]
    names = [path.relative_to(ROOT / "docs").with_suffix("").as_posix() for path in pages]
    names += [f"../notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")]
    names += ["api/index", "../README", "../CHANGELOG"]
    assert sorted(set(names) - listed) == []
