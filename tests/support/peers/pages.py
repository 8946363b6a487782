"""The pages of docs/bindings/, and what they show of configuration, code and commands."""

from __future__ import annotations

import re
from pathlib import Path

PAGES = Path(__file__).parents[3] / "docs/bindings"
IMPORTS = "from workers import DurableObject, Response, WorkerEntrypoint\n"
NO_CODE = "from workers import Response\n\nasync def fetch(request): return Response('fine')\n"
AI = 'ai = { binding = "AI" }\n'  # Vectorize's example asks it, too


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (PAGES / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)


def shown(folder: Path, page: str, more: str = "", number: int = 0) -> None:
    """A worker of the page's configuration and of its example of that number."""
    config = more + "".join(blocks(page, "toml")[:1])
    name = "" if re.search("^name =", config, re.MULTILINE) else 'name = "shown"\n'
    code = [block for block in blocks(page, "python") if re.search("^(class|async def) ", block, re.MULTILINE)]
    (folder / "wrangler.toml").write_text(f'{name}main = "entry.py"\n{config}')
    (folder / "entry.py").write_text(IMPORTS + code[number] if code else NO_CODE)
    (folder / "public").mkdir()
    (folder / "public/page.txt").write_text("a page")
