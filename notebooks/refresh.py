"""Brings the stored notebooks up to date with their text form: `python notebooks/refresh.py [01_quick_start ...]`.

Edit NAME.py; this runs it and stores NAME.ipynb with what it printed. Pictures and tables in HTML are left out, so
that differences stay readable: the documentation site has them. The tests run the same functions.
"""

import os
import sys
import time
from pathlib import Path

import jupytext
import nbformat
import psutil
from nbclient import NotebookClient

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in HERE.glob("[0-9]*.py"))
METADATA = {
    "jupytext": {"formats": "ipynb,py:percent"},
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
}


def from_text(name: str) -> nbformat.NotebookNode:
    """The notebook that NAME.py says, without outputs; names of cells count up, so that nothing changes by itself."""
    notebook = jupytext.read(HERE / f"{name}.py")
    notebook.metadata = nbformat.from_dict(METADATA)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata = nbformat.from_dict({})
    return notebook


def execute(notebook: nbformat.NotebookNode) -> tuple[float, float]:
    """Runs it in place; returns seconds by the clock and of processor time. A cell that fails raises."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # one core for LAPACK, whose threads spin; kernels inherit it
    client = NotebookClient(
        notebook, timeout=3600, kernel_name="python3", record_timing=False, resources={"metadata": {"path": str(HERE)}}
    )
    client.extra_arguments = ["--log-level=ERROR"]
    start = time.perf_counter()
    with client.setup_kernel():
        kernel = psutil.Process(client.km.provisioner.process.pid)
        for number, cell in enumerate(notebook.cells):
            client.execute_cell(cell, number)
        used = kernel.cpu_times()
        family = sum(sum(child.cpu_times()[:2]) for child in kernel.children(recursive=True))
    return time.perf_counter() - start, used.user + used.system + used.children_user + used.children_system + family


def printed(notebook: nbformat.NotebookNode) -> list[str]:
    """What each code cell prints and returns as text, without pictures."""
    texts = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            outputs = [output for output in cell.outputs if not _is_picture(output)]
            texts.append(
                "".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs)
            )
    return texts


def stored(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with plain text for outputs, and nothing that depends on when and where it ran."""
    for cell, text in zip(
        (cell for cell in notebook.cells if cell.cell_type == "code"), printed(notebook), strict=True
    ):
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)] if text else []
        cell.execution_count = None
        cell.metadata = nbformat.from_dict({})
    notebook.metadata = nbformat.from_dict(METADATA)
    return notebook


def _is_picture(output: nbformat.NotebookNode) -> bool:
    return any(kind.startswith("image/") for kind in output.get("data", {}))


def main(names: list[str]) -> None:
    """Refreshes the named notebooks, or all."""
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise SystemExit(f"no such notebook: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    for name in names or NAMES:
        notebook = from_text(name)
        wall, cpu = execute(notebook)
        nbformat.write(stored(notebook), HERE / f"{name}.ipynb")
        print(f"{name}: {wall:.0f} s, {cpu:.0f} s of processor time", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
