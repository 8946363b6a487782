"""Write runtime/checking/upstream.json anew: what Cloudflare's tools know, of which ``pilot check`` speaks.

npm pack wrangler@VERSION pyodide@VERSION && pip download --no-deps workers-runtime-sdk==VERSION
python .ci/upstream.py config-schema.json pyodide-lock.json workers/__init__.py WRANGLER PYODIDE SDK
"""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

TABLE = Path(__file__).parents[1] / "runtime/checking/upstream.json"


def keys(schema: dict[str, Any]) -> dict[str, list[str]]:
    """Every key of a configuration → the keys of its table, however deep in alternatives they stand."""
    return {key: sorted(_fields(schema, value, ())) for key, value in _top(schema).items()}


def _top(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schema["definitions"]["RawConfig"]["properties"]
    return found


def _fields(schema: dict[str, Any], of: dict[str, Any], seen: tuple[str, ...]) -> set[str]:
    if name := unquote(of.get("$ref", "").rpartition("/")[2]):
        return set() if name in seen else _fields(schema, schema["definitions"][name], (*seen, name))
    if of.get("type") == "array":
        items = of.get("items", {})
        return _fields(schema, items, seen) if isinstance(items, dict) else set()
    parts = [part for word in ("anyOf", "allOf", "oneOf") for part in of.get(word, ())]
    return set(of.get("properties", ())).union(*(_fields(schema, part, seen) for part in parts))


def compiled(lock: dict[str, Any]) -> dict[str, str]:
    """Packages with compiled parts that Pyodide has, by their normalized names → their version."""
    packages = lock["packages"].values()
    own = [one for one in packages if one["package_type"] == "package" and "none-any" not in one["file_name"]]
    named = ((re.sub(r"[-_.]+", "-", one["name"]).lower(), one["version"]) for one in own)
    return {name: version for name, version in named if not name.endswith("-tests")}


def public(source: str) -> list[str]:
    """The names that a module exports."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            return sorted(ast.literal_eval(node.value))
    raise ValueError("it has no __all__")


def main(schema: str, lock: str, sdk: str, wrangler: str, pyodide: str, workers: str) -> None:
    table = {
        "wrangler": wrangler,
        "keys": keys(json.loads(Path(schema).read_text())),
        "pyodide": pyodide,
        "compiled": dict(sorted(compiled(json.loads(Path(lock).read_text())).items())),
        "sdk": workers,
        "workers": public(Path(sdk).read_text()),
    }
    TABLE.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
