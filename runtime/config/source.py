"""Finding a worker's configuration file and reading it; every complaint names a place in that file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec

from runtime.config import toml
from runtime.errors import ConfigError
from runtime.places import expanded

FILE_NAMES = ("wrangler.json", "wrangler.jsonc", "wrangler.toml")  # Wrangler's own order

_MAX_LINE = 100  # characters of a line that is shown

_NO_FILE_REMEDY = """\
Add a wrangler.toml:  main = "entry.py"
Or name the script:   pilot dev entry.py"""


class Source(msgspec.Struct, frozen=True):
    """A configuration file; writes places in it: ``[[kv_namespaces]] #2`` or ``kv_namespaces[1]``."""

    file: str = "the command line"
    toml: bool = True

    def at(self, *keys: str | int) -> str:
        return f"{self.file}: {self._toml(keys) if self.toml else self._dotted(keys)}" if keys else self.file

    def error(self, keys: tuple[str | int, ...], what: str, remedy: str = "") -> ConfigError:
        return ConfigError(what, where=self.at(*keys), remedy=remedy)

    def line(self, key: str, value: str) -> str:
        """The line a reader would type to set ``key``."""
        return f'Add:  {key} = "{value}"' if self.toml else f'Add:  "{key}": "{value}"'

    def _toml(self, keys: tuple[str | int, ...]) -> str:
        """``("queues", "producers", 0, "queue")`` → ``[[queues.producers]] #1, queue``."""
        index = next((at for at, key in enumerate(keys) if isinstance(key, int)), None)
        if index is None:
            return self._dotted(keys)
        place = f"[[{self._dotted(keys[:index])}]] #{int(keys[index]) + 1}"
        rest = self._dotted(keys[index + 1 :])
        return f"{place}, {rest}" if rest else place

    @staticmethod
    def _dotted(keys: tuple[str | int, ...]) -> str:
        return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")


def find(path: Path | None, cwd: Path) -> Path:
    """The file to read: ``path`` (a file or its folder), else the nearest one in ``cwd`` or above."""
    folders = [cwd, *cwd.parents]
    if path is not None:
        path = (cwd / expanded(path, "--config")).absolute()
        if path.is_file():
            return path
        if not path.is_dir():
            raise ConfigError("there is no such file", where=str(path), remedy="Begin one:  pilot init NAME")
        folders = [path]
    for folder in folders:
        for name in FILE_NAMES:
            if (folder / name).is_file():
                return folder / name
    raise ConfigError(
        f"no {', '.join(FILE_NAMES[:-1])} or {FILE_NAMES[-1]}", where=str(folders[0]), remedy=_NO_FILE_REMEDY
    )


def read(path: Path, cwd: Path) -> tuple[Source, dict[str, Any]]:
    """Parse a ``.toml``, ``.json`` or ``.jsonc`` file; a syntax error shows line, column and the line."""
    source = Source(shown(path, cwd), toml=path.suffix == ".toml")
    if path.suffix not in (".toml", ".json", ".jsonc"):
        raise ConfigError(
            "must end in .toml, .json or .jsonc", where=source.file, remedy="Name one:  --config wrangler.toml"
        )
    text = text_of(path, source.file)
    try:
        document = toml.loads(text) if source.toml else _json(text)
    except ValueError as error:
        raise _syntax(source, text, str(error)) from None
    except RecursionError:
        raise ConfigError(
            "is nested too deeply", where=source.file, remedy="No key of a configuration lies that deep."
        ) from None
    if not isinstance(document, dict):
        raise ConfigError("must be a JSON object", where=source.file, remedy='{ "main": "entry.py" }')
    return source, document


def shown(path: Path, cwd: Path) -> str:
    """``path`` as a person in ``cwd`` would write it."""
    return str(path.relative_to(cwd)) if path.is_relative_to(cwd) else str(path)


def text_of(path: Path, name: str) -> str:
    """A text file's content; a byte order mark is fine, another encoding is not."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}", where=name, remedy=f"ls -l {name}   says who may"
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"is not UTF-8 (byte {error.start})", where=name, remedy="Save it as UTF-8.") from None


def _json(text: str) -> Any:
    """JSON with comments and trailing commas; the standard parser first, as it is a hundred times faster."""
    if len(text) > toml.MAX_CHARACTERS:
        raise ValueError(f"More than {toml.MAX_CHARACTERS:,} characters")
    try:
        return json.loads(text)
    except ValueError:
        import json5

        return json5.loads(text)


def _syntax(source: Source, text: str, message: str) -> ConfigError:
    """Translate tomllib's ``… (at line 1, column 10)`` and json5's ``<string>:1 … at column 10``."""
    lines = text.replace("\t", " ").splitlines() or [""]
    found = re.search(r"line (\d+), column (\d+)|<string>:(\d+) .* at column (\d+)$", message, re.DOTALL)
    end = len(lines), len(lines[-1]) + 1
    row, column = (int(group) for group in found.groups() if group) if found else end
    what = re.sub(r"^<string>:\d+ | ?\(at .*\)$| at column \d+$", "", message)
    line = lines[min(row, len(lines)) - 1]
    place = f"{source.file}, line {row}, column {column}"
    if len(line) > _MAX_LINE:
        begin = max(0, column - _MAX_LINE // 2)
        line, column = line[begin : begin + _MAX_LINE], column - begin
    kind = "TOML" if source.toml else "JSON"
    return ConfigError(
        f"not valid {kind}: {what[:1].lower()}{what[1:]}", where=place, remedy=f"{line}\n{' ' * (column - 1)}^"
    )
