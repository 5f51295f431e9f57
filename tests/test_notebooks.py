"""Every notebook runs, prints what is stored in it, and says in words only what it prints."""

import re
import warnings

import nbformat
import pytest

from notebooks.refresh import HERE, NAMES, execute, from_text, printed
from tests.claims.ledger import RESULTS, ROOT, prose_of

NUMBER = re.compile(r"(?<![\w.])[-+−]?\d+(?:,\d{3})*(?:\.\d*)?(?:e[-+]?\d+)?")
TOLERANCE = 1e-6


def stored(name):
    return nbformat.read(HERE / f"{name}.ipynb", as_version=4)


def source(notebook):
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def numbers(text):
    return [float(found.replace("−", "-").replace(",", "")) for found in NUMBER.findall(text)]


@pytest.mark.parametrize("name", NAMES)
def test_both_forms_say_the_same(name):
    assert source(stored(name)) == source(from_text(name))


@pytest.mark.parametrize("name", NAMES)
def test_uses_public_names_only(name):
    code = "\n".join(text for kind, text in source(stored(name)) if kind == "code")
    assert not re.search(r"\b_\w+\(|\._[a-z]\w*|^\s*class ", code, flags=re.MULTILINE)
    assert "sys.path" not in code


@pytest.mark.parametrize("name", NAMES)
def test_says_what_it_prints(name):
    """Every result in words is among the printed numbers, rounded as quoted."""
    notebook = stored(name)
    shown = numbers("\n".join(printed(notebook)))
    for kind, text in source(notebook):
        if kind == "markdown":
            unsupported = [quote for quote in quoted(text) if not supported(quote, shown)]
            assert not unsupported, f"{unsupported} in: {text[:80]} …"


def test_a_result_that_is_not_printed_would_be_seen():
    shown = [0.12345, 2e-6, 1200.0]
    for quote in ("0.123", "0.12", "12 %", "12.3 %", "2·10⁻⁶", "1200 s"):
        assert supported(quote, shown), quote
    for quote in ("0.124", "0.13", "13 %", "12.4 %", "4·10⁻⁶", "1201 s"):
        assert not supported(quote, shown), quote


def quoted(text):
    return [found[0] for found in RESULTS.finditer(prose_of(text))]


def supported(quote, shown):
    if power := re.fullmatch(r"(?:([\d.]+)·)?10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)(?:\s?%)?", quote):
        exponent = int(power[2].translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")))
        value = float(power[1] or 1) * 10.0**exponent
        return any(abs(number / value - 1) < 0.3 for number in shown)
    digits = re.match(r"\d+(?:\.(\d+))?", quote)
    value, decimals = float(digits[0]), len(digits[1] or "")
    scales = (1, 100) if "%" in quote else (1,)
    return any(abs(abs(number) * scale - value) <= 0.5001 * 10.0**-decimals for number in shown for scale in scales)


@pytest.fixture(scope="module")
def cache():
    """What has been run is kept for the documentation site, which would run it again."""
    from jupyter_cache import get_cache

    return get_cache(str(ROOT / ".jupyter_cache"))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_prints_what_is_stored(name, cache):
    notebook = from_text(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of the machinery that talks to the kernel
        execute(notebook)
    for new, old in zip(printed(notebook), printed(stored(name)), strict=True):
        assert NUMBER.sub("#", new) == NUMBER.sub("#", old)
        assert numbers(new) == pytest.approx(numbers(old), rel=TOLERANCE, abs=1e-9)
    assert all(not cell.metadata for cell in notebook.cells)  # the site finds it by what the file says
    from jupyter_cache.cache.main import CacheBundleIn

    cache.cache_notebook_bundle(
        CacheBundleIn(nb=notebook, uri=str(HERE / f"{name}.ipynb")), check_validity=False, overwrite=True
    )
