"""What docstrings and docs cite of docs/reference is there, section by section."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("runtime", "bindings", "tests", "docs", "bench", "workers")
CITED = re.compile(r"reference/(?P<file>[\w-]+\.md)(?P<sections>(?:(?:, )?#[\w-]+)*)")
SECTION = re.compile(r"#([\w-]+)")
FILES = [
    path
    for path in sorted([*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))])
    if path.suffix in (".py", ".md") and path != Path(__file__)
]


def sections(file: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", (ROOT / "docs/reference" / file).read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def missing(text: str) -> list[str]:
    """``file#section`` of each citation in ``text`` that leads nowhere."""
    cited = [(match["file"], name) for match in CITED.finditer(text) for name in SECTION.findall(match["sections"])]
    return [f"{file}#{name}" for file, name in cited if name not in sections(file)]


def test_what_is_cited_is_there() -> None:
    texts = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in FILES}
    assert {name: found for name, text in texts.items() if (found := missing(text))} == {}
    assert sum(len(CITED.findall(text)) for text in texts.values()) > 40


def test_no_number_of_a_section_is_cited() -> None:
    """A § leads nowhere but into an RFC."""
    lines = [(path, line) for path in FILES for line in path.read_text("utf-8").splitlines() if "§" in line]
    assert [(path.name, line) for path, line in lines if "RFC" not in line] == []


@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "docs/reference").glob("*.md")))
def test_each_page_is_linked_from_the_readme(page: str) -> None:
    assert f"(docs/reference/{page})" in (ROOT / "README.md").read_text("utf-8")
