"""The layout of the house: no import runs upwards, the two wings do not know each other, importing is cheap."""

import ast
import importlib
import inspect
import re
from functools import cache
from pathlib import Path

import pytest

import rfdsm

ROOT = Path(rfdsm.__file__).parent
LONGEST_FILE = 350

GROUND = """activations arguments arrays batches executables grids hints laws losses machine printing samples named
schedules scope spectra statistics targets units vocabulary values"""
# From the ground up. A name stands for a module, or for a package with all its modules.
FLOORS = (
    tuple(GROUND.split()),
    ("problem",),
    ("sampling",),
    ("simulation", "theory"),
    ("model",),
    ("generated_model",),
    ("datasets", "extrapolation", "plots", "tables"),
    ("comparison", "phases"),
    ("linear",),  # a further model: its doors are those of the floors below, with its own record
    ("compiled", "csv_tables", "data", "files", "idx", "references"),
    ("networks", "sweeps"),
    ("cli", "explorer"),
)
FILE_FLOOR = FLOORS.index(("compiled", "csv_tables", "data", "files", "idx", "references"))
OUTSIDE_WORLD = {"pathlib", "subprocess", "multiprocessing", "tempfile", "shutil", "socket", "cyclopts"}

MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
    if path != ROOT / "__init__.py"
}
PUBLIC = [
    (node.asname or node.name, statement.module, node.name)
    for statement in ast.parse((ROOT / "__init__.pyi").read_text(encoding="utf-8")).body
    if isinstance(statement, ast.ImportFrom)
    for node in statement.names
]


def floor(module):
    found = [k for k, names in enumerate(FLOORS) if module.split(".")[0].removeprefix("_") in names]
    assert len(found) == 1, f"{module} has no floor: add it to FLOORS"
    return found[0]


@cache
def tree(module):
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def walked(node):
    """All nodes but those that only type checkers see, which import nothing."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from walked(child)


@cache
def imported(module, top_level=False):
    """Absolute names of everything a module imports, wherever in its text; or only what runs when it is imported."""
    nodes = tree(module).body if top_level else walked(tree(module))
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@cache
def house(module, top_level=False):
    """Modules of the house among them; the bare package, for what it defines itself, counts as nothing."""
    inside = {name.removeprefix("rfdsm.") for name in imported(module, top_level) if name.startswith("rfdsm.")}
    found = set()
    for name in inside:
        while name and name not in MODULES:
            name = name.rpartition(".")[0]
        found |= {name} - {"", module}
    return found


def test_the_test_sees_imports():
    """Guards every test below against an empty walk."""
    assert len(MODULES) > 20
    assert {"_problem", "simulation._trial", "simulation._plan", "losses"} <= house("simulation._simulate")
    assert {"model", "datasets", "plots", "_laws"} <= house("_comparison")
    assert "data" in house("cli._build")  # within a function
    assert "rfdsm" in imported("cli._app")


def test_no_import_runs_upwards():
    upwards = {(module, other) for module in MODULES for other in house(module) if floor(other) > floor(module)}
    assert not upwards


def test_only_the_command_line_uses_the_lazy_facade():
    """`import rfdsm` reaches every floor; below the roof it would hide an import that runs upwards."""
    facade = {name for name, _, _ in PUBLIC} - set(MODULES)
    for module in MODULES:
        used = {name for name in imported(module) if name == "rfdsm" or name.removeprefix("rfdsm.") in facade}
        assert not used or floor(module) == floor("cli"), module


def test_theory_and_simulation_never_import_each_other():
    for wing, other in (("theory", "simulation"), ("simulation", "theory")):
        for module in MODULES:
            if module.split(".")[0] == wing:
                assert not {name for name in reachable(module) if name.split(".")[0] == other}, module


def reachable(module):
    seen, stack = set(), [module]
    while stack:
        new = house(stack.pop()) - seen
        seen |= new
        stack += new
    return seen


def test_no_import_is_circular():
    """Not even within functions: a circle hides that two files hold one idea. A package may gather its modules."""
    for module in MODULES:
        assert module not in reachable(module), module


def test_pictures_compute_nothing():
    """They know datasets, the words for what is in them, and standard errors."""
    known = {"plots", "losses", "_statistics", "_vocabulary"}
    for module in MODULES:
        if module.split(".")[0] == "plots":
            assert {name.split(".")[0] for name in house(module)} <= known, module


def test_files_and_processes_are_left_to_the_upper_floors():
    for module in (module for module in MODULES if floor(module) < FILE_FLOOR):
        assert not {name.split(".")[0] for name in imported(module)} & OUTSIDE_WORLD, module
        used = {ast.unparse(node) for node in ast.walk(tree(module)) if isinstance(node, ast.Attribute)}
        used |= {name for name in imported(module) if name.startswith("os.")}
        assert module == "_machine" or not {name for name in used if name.startswith("os.")}, module


def test_public_names_resolve_to_what_the_stub_says():
    for name, module, original in PUBLIC:
        home = importlib.import_module(f"rfdsm.{module or original}")
        assert getattr(rfdsm, name) is (home if module is None else getattr(home, original)), name
        assert name in rfdsm.__all__ and name in dir(rfdsm)


def test_modules_that_are_no_doors_have_an_underscore():
    """A door is a module, or a package, by whose path the reference documents a name."""
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT.parent / "docs" / "api").glob("*.md"))
    documented = set(re.findall(r"rfdsm\.((?:\w+\.)*)\w+", pages))
    for module, path in MODULES.items():
        if path.name not in ("__init__.py", "__main__.py"):
            private = module.rpartition(".")[2].startswith("_")
            assert private != (f"{module}." in documented), module


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="predictt"):
        _ = rfdsm.predictt


OWN_PROGRAMS = {"sweeps._worker", "compiled"}  # a process of its own, with settings of its own; and what asks for them


def test_the_library_leaves_jax_settings_alone():
    for module in (m for m in MODULES if floor(m) < floor("cli") and m not in OWN_PROGRAMS):
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.Call | ast.Assign):
                targets = [node.func] if isinstance(node, ast.Call) else node.targets
                for target in targets:
                    assert "config" not in ast.unparse(target).split("."), f"{module}, line {node.lineno}"
            if isinstance(node, ast.Attribute):
                assert node.attr != "environ", f"{module}, line {node.lineno}"


def test_a_file_is_short_and_says_what_it_holds():
    for module, path in MODULES.items():
        assert path.read_text(encoding="utf-8").count("\n") < LONGEST_FILE, module
        assert len(ast.get_docstring(tree(module)) or "") > 20, module


def test_public_functions_and_classes_are_documented():
    undocumented = []
    for module in MODULES:
        for node in tree(module).body:
            if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
                continue
            if not ast.get_docstring(node):
                undocumented.append(f"{module}.{node.name}")
            if isinstance(node, ast.ClassDef):
                built = getattr(importlib.import_module(f"rfdsm.{module}"), node.name)
                for method in node.body:
                    if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                        inherited = any(inspect.getdoc(getattr(base, method.name, None)) for base in built.__mro__[1:])
                        if not ast.get_docstring(method) and not inherited:
                            undocumented.append(f"{module}.{node.name}.{method.name}")
    assert not undocumented
