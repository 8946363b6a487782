"""docs/bindings/ has a page for each product, and its index leads to every one."""

from __future__ import annotations

import re
from pathlib import Path

from bindings import PRODUCTS

PAGES = Path(__file__).parents[2] / "docs/bindings"
INDEX = (PAGES / "index.md").read_text("utf-8")
ROWS = re.findall(r"^\| (?:`(\w+)` )?\| \[[^\]]+\]\(([\w./-]+)\)", INDEX, re.MULTILINE)


def test_each_product_has_its_row() -> None:
    assert sorted(key for key, _ in ROWS if key) == sorted(PRODUCTS)


def test_each_page_has_its_row() -> None:
    pages = {path.name for path in PAGES.glob("*.md")} - {"index.md"}
    assert {page for _, page in ROWS} == pages | {"../workers-ai.md"}
