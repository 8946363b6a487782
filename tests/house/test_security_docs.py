"""docs/security.md and docs/supply-chain.md keep their word: each promise has its tests, and the lists can be made."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECURITY = (ROOT / "docs/security.md").read_text("utf-8")
SUPPLY_CHAIN = (ROOT / "docs/supply-chain.md").read_text("utf-8")
ACTORS = ["A stranger", "A web page", "A tenant", "An upstream server", "The operator, and what is kept"]
PROMISES = re.findall(r"^\| (.+?) \| (.*`test_\w+`.*) \|$", SECURITY, re.MULTILINE)


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", SECURITY, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


@pytest.mark.parametrize("actor", ACTORS)
def test_each_actor_has_promises_and_what_is_none(actor: str) -> None:
    text = section(actor)
    rows = [line for line in text.splitlines() if line.startswith("| ") and line != "| promise | test |"]
    assert len(rows) >= 3
    assert all(re.search(r"\| (`test_\w+`(, )?)+ \|$", row) for row in rows), rows
    assert "Not promised:" in text


def test_every_promise_has_its_tests() -> None:
    sources = "".join(path.read_text("utf-8") for path in ROOT.glob("tests/**/test_*.py"))
    tests = set(re.findall(r"^(?:async )?def (test_\w+)\(", sources, re.MULTILINE))
    assert len(PROMISES) > 25
    for promise, named in PROMISES:
        assert set(re.findall(r"`(test_\w+)`", named)) <= tests, promise


@pytest.mark.parametrize("text", [SECURITY, SUPPLY_CHAIN, (ROOT / ".github/SECURITY.md").read_text("utf-8")])
def test_every_link_leads_somewhere(text: str) -> None:
    folder = ROOT / (".github" if text.startswith("# Security\n\n## Reporting") else "docs")
    for link in re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", text):
        assert (folder / link).exists(), link


def test_everything_locked_has_hashes() -> None:
    for package in tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))["package"]:
        files = [*package.get("wheels", ()), *filter(None, [package.get("sdist")])]
        assert package["source"] == {"editable": "."} or files, package["name"]
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", file["hash"]) for file in files), package["name"]
    for file in ("uv.txt", "pip-audit.txt"):
        pins = re.findall(r"^[\w.-]+==.+?(?=^[\w.-]+==|\Z)", (ROOT / ".ci" / file).read_text("utf-8"), re.DOTALL | re.M)
        assert pins
        assert all("--hash=sha256:" in pin for pin in pins), file


def test_the_list_of_all_that_is_installed(tmp_path: Path) -> None:
    """As ``make sbom`` writes it, with the environment that runs this."""
    file = tmp_path / "sbom.json"
    words = ["make", "-C", str(ROOT), "-o", f"{sys.prefix}/.made", "sbom", f"VENV={sys.prefix}", f"SBOM={file}"]
    subprocess.run(words, check=True, timeout=120, stdout=subprocess.DEVNULL)
    bom = json.loads(file.read_text())
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.5")
    packages = tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))["package"]
    listed = {(component["name"], component.get("version")) for component in bom["components"]}
    assert listed <= {(package["name"], package.get("version")) for package in packages}
    names = {name for name, _ in listed}
    assert {"uvicorn", "starlette", "msgspec", "aiohttp", "cryptography", "vllm"} <= names
    assert "pytest" not in names
