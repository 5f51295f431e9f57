"""The documentation site: `sphinx-build -c docs -W --keep-going . site`, with the root of the repository as source.

Pages, README and notebooks stay where readers of the repository expect them, and the links between them hold in both
places. Notebooks are run when the site is built, unless the tests have just run them (see tests/test_notebooks.py).
"""

import os
import re
import sys
from importlib.metadata import version as installed
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # LAPACK's threads spin

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from benchmarks import pages  # noqa: E402

project = "rfdsm"
author = "The rfdsm developers"
project_copyright = "The rfdsm developers"
version = release = installed("rfdsm")

root_doc = "docs/index"
include_patterns = ["docs/**.md", "notebooks/*.ipynb", "README.md", "CHANGELOG.md", "CONTRIBUTING.md"]
exclude_patterns = ["docs/_build", "**.ipynb_checkpoints"]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax", "sphinx_copybutton"]

myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath", "substitution"]
myst_substitutions = pages.substitutions()  # {{ ... }} in a page: what benchmarks have measured
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_cache_path = str(ROOT / ".jupyter_cache")
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # arguments are Any at the door, where they are checked; the text says what they may be
autodoc_preserve_defaults = True

html_theme = "furo"
html_title = f"rfdsm {version}"
default_role = "code"
suppress_warnings = ["ref.python"]  # names of axes in array annotations ("shape") are no references


def escape(app, what, name, obj, options, lines):
    """Docstrings are plain text with formulas: |x| and a * b are no markup. Before napoleon, which writes markup."""
    if what in ("attribute", "property", "data"):
        lines[:0] = ["..", ""]  # else napoleon takes "Theory: whether ..." for a type
    in_example = False
    for number, line in enumerate(lines):
        in_example = bool(line.strip()) and (in_example or line.lstrip().startswith(">>>"))
        if not in_example:
            lines[number] = re.sub(r"(`[^`]*`)|([|*])", lambda found: found[1] or "\\" + found[2], line)


def setup(app):
    app.connect("autodoc-process-docstring", escape, priority=100)
