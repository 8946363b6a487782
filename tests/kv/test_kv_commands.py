"""``pilot kv`` on the state of the worker here, with and without a running server."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from serving import serving, write

ENTRY = """
from workers import Response
async def fetch(request, env):
    if request.method == "PUT":
        await env.KV.put("k", await request.text())
    return Response(str(await env.KV.get("k")))
"""
DOCS = (Path(__file__).parents[2] / "docs/bindings/kv.md").read_text("utf-8")
CONFIG = '[[kv_namespaces]]\nbinding = "KV"\nid = "notes"\n'
TWO = CONFIG + '[[kv_namespaces]]\nbinding = "OTHER"\npreview_id = "preview"\nid = "x"\n'


class Commands:
    def __init__(self, folder: Path, config: str = CONFIG) -> None:
        self.folder = folder
        write(folder, ENTRY, config)

    def __call__(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "runtime.cli", "kv", *words],
            cwd=self.folder, timeout=60, capture_output=True,
        )  # fmt: skip
        assert done.returncode == code, (done.stdout, done.stderr)
        return (done.stderr if code else done.stdout).decode("utf-8", "surrogateescape")


async def test_beside_a_running_server(tmp_path: Path) -> None:
    kv = Commands(tmp_path)
    async with serving(tmp_path) as pilot:
        for number in range(3):
            assert kv("key", "put", "k", f"v{number}", "--local").startswith(
                f'Writing the value "v{number}" to key "k"'
            )
            assert await pilot.ask() == (200, f"v{number}")
            assert await pilot.ask("/", "PUT", data=f"w{number}") == (200, f"w{number}")
            assert kv("key", "get", "k") == f"w{number}"
        kv("key", "put", "k", "--path", str(_large(tmp_path)))
        assert len((await pilot.ask())[1]) == 300_000
        assert kv("key", "delete", "k") == 'Deleting the key "k" on namespace binding: "KV" (id: "notes").\n'
        assert await pilot.ask() == (200, "None")


def _large(folder: Path) -> Path:
    (folder / "large.txt").write_text("x" * 300_000)
    return folder / "large.txt"


def test_values(tmp_path: Path) -> None:
    kv = Commands(tmp_path)
    (tmp_path / "bytes").write_bytes(b"a\xff")
    output = kv("key", "put", "a b/c", "--path", "bytes", "--ttl", "100", "--metadata", '{"n": 1}')
    assert output == 'Writing the contents of bytes to the key "a b/c" on namespace binding: "KV" (id: "notes").\n'
    assert kv("key", "get", "a b/c") == "a\udcff"
    assert kv("key", "get", "a b/c", "--text") == "a\ufffd"
    assert kv("key", "get", "a b/c", "--json") == '"a\ufffd"\n'
    [listed] = json.loads(kv("key", "list", "--prefix", "a"))
    assert (listed["name"], listed["metadata"], listed["expiration"] > 10**9) == ("a b/c", {"n": 1}, True)
    assert json.loads(kv("key", "list", "--prefix", "b")) == []
    assert kv("key", "get", "none", code=1) == "Value not found\n"
    assert json.loads(kv("key", "put", "k", "v", "--json")) == {"key": "k", "namespace_id": "notes"}


def test_many(tmp_path: Path) -> None:
    kv = Commands(tmp_path)
    pairs = [{"key": f"k{number:04}", "value": str(number)} for number in range(2500)]
    (tmp_path / "many.json").write_text(json.dumps([*pairs, {"key": "b", "value": "aGk=", "base64": True}]))
    assert kv("bulk", "put", "many.json") == "Success!\n"
    assert len(json.loads(kv("key", "list"))) == 2501
    (tmp_path / "keys.json").write_text('["b", {"name": "k0001"}, "none"]')
    found = json.loads(kv("bulk", "get", "keys.json"))
    assert found == {"b": {"value": "hi"}, "k0001": {"value": "1"}, "none": {"value": None}}
    (tmp_path / "keys.json").write_text(json.dumps([pair["key"] for pair in pairs]))
    assert json.loads(kv("bulk", "delete", "keys.json", "--force", "--json"))["successful_key_count"] == 2500
    assert json.loads(kv("key", "list")) == [{"name": "b"}]


def test_which_namespace(tmp_path: Path) -> None:
    kv = Commands(tmp_path, TWO)
    assert "--binding NAME" in kv("key", "list", code=3)
    assert "there is no KV namespace bound as 'NOPE'" in kv("key", "list", "--binding", "NOPE", code=3)
    kv("key", "put", "k", "v", "--binding", "OTHER")
    assert kv("key", "get", "k", "--namespace-id", "preview") == "v"
    assert kv("key", "get", "k", "--binding", "KV", code=1) == "Value not found\n"
    kv("key", "put", "k", "elsewhere", "--binding", "KV", "--persist-to", "kept")
    assert (tmp_path / "kept/kv/notes/kv.sqlite").is_file()
    titles = [item["title"] for item in json.loads(kv("namespace", "list"))]
    assert titles == ["notes", "preview"]
    made = kv("namespace", "create", "my notes")
    assert made.startswith('Creating namespace with title "my notes"\nSuccess!\n')
    assert '[[kv_namespaces]]\nbinding = "my_notes"\nid = "' in made
    assert "already exists" in kv("namespace", "create", "my notes", code=3)


def test_the_docs_are_right(tmp_path: Path) -> None:
    """Each line of them, in a folder with the files that it names."""
    kv = Commands(tmp_path, '[[kv_namespaces]]\nbinding = "NOTES"\n')
    (tmp_path / "pairs.json").write_text('[{"key": "a", "value": "b"}]')
    (tmp_path / "keys.json").write_text('["a"]')
    block = DOCS.partition("```sh\npilot kv ")[2].partition("```")[0]
    lines = [shlex.split(line, comments=True) for line in f"pilot kv {block}".splitlines()]
    said = [kv(*words[2:]) for words in lines]
    assert (len(said), said[1], said[4]) == (9, "hello", "Success!\n")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("key", "put", "k"), 2, "give a value, or --path FILE"),
        (("key", "put", "k", "v", "--path", "wrangler.toml"), 2, "give a value, or --path FILE"),
        (("key", "put", "k", "v", "--ttl", "5"), 3, "Invalid expiration_ttl of 5. Expiration TTL must be at least 60."),
        (("key", "put", "k", "v", "--metadata", "{"), 3, "--metadata: '{' is not JSON"),
        (("key", "put", "k" * 513, "v"), 3, "UTF-8 encoded length of 513 exceeds key length limit of 512."),
        (("key", "put", "", "v"), 3, "Could not route to"),
        (("key", "get", "k", "--remote"), 2, "--host URL names a host"),
        (("key", "get", "k", "--local", "--host", "http://x"), 2, "exclude each other"),
        (("key", "get", "k", "--host", "http://127.0.0.1:9"), 3, "http://127.0.0.1:9: no answer"),
        (("bulk", "put", "entry.py"), 3, "entry.py: is not the JSON that is wanted"),
        (("keys",), 2, "No such command 'keys'"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, words: tuple[str, ...], code: int, told: str) -> None:
    assert told in Commands(tmp_path)(*words, code=code)
