"""docs/index.md lists every page."""

from tests.claims.ledger import ROOT


def test_index_lists_every_page():
    index = (ROOT / "docs" / "index.md").read_text()
    listed = {line.split("<")[-1].rstrip(">") for line in index.splitlines()}
    pages = [path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "api" and path.name != "index.md"]
    names = [path.relative_to(ROOT / "docs").with_suffix("").as_posix() for path in pages]
    names += [f"../notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")]
    names += ["api/index", "../README", "../CHANGELOG"]
    assert sorted(set(names) - listed) == []
