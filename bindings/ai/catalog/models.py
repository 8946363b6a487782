"""``models.yaml``: upstream's rows in this folder, the project's own beside wrangler.toml; read and checked.

The head of the built-in file explains every field.
"""

from __future__ import annotations

import datetime
import functools
import math
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from bindings.ai.engine import options as engine_options
from bindings.ai.engine.protocol import ENGINES
from bindings.ai.engines import installed
from bindings.ai.hub.names import wanted
from bindings.ai.replicas.placement import Count, Counts, Placement, check, placement
from runtime.errors import ConfigError
from runtime.hints import close_to

TEXT_GENERATION = "Text Generation"
BUILT_IN = Path(__file__).with_name("models.yaml")
_FIELDS = "Each field is explained at the head of bindings/ai/catalog/models.yaml."
EXAMPLE = 'Write:  "@cf/meta/llama-2-7b-chat-int8":\n          llamacpp: {model: ./llama-2-7b.gguf}'

Row = dict[str, Any]


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How sure the upstream facts are."""

    facts: str | None = None
    defaults: str | None = None
    weights: str | None = None


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row. Windows and limits are tokens, as upstream states them; None where it does not."""

    id: str = ""
    task: str = TEXT_GENERATION
    context_window: int | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    default_max_tokens: int = 256
    default_temperature: float = 0.6
    lora: bool = False
    function_calling: bool = False
    reasoning: bool = False
    vision: bool = False
    json_mode: bool = False
    openai_style: bool = False
    guardrail: bool = False
    reranker: bool = False
    async_queue: bool = False
    beta: bool = False  # what hide_experimental hides
    require_workers_paid: bool = False
    openai_ranges: bool = False
    output_dimensions: int | None = None
    form: Literal["text", "m3", "qwen", "turbo"] = "text"
    pooling: Literal["mean", "cls"] | None = None
    max_batch: int | None = None
    deprecated: str | None = None  # the date, or "removed"
    retired: bool = False  # refuse it, as upstream does
    uuid: str = ""
    created_at: str | None = None
    description: str = ""
    notes: str | None = None
    evidence: Evidence = Evidence()

    engine: str | None = None
    model: str | None = None
    options: Row = {}
    vllm: Row | None = None
    llamacpp: Row | None = None
    openai: Row | None = None
    echo: Row | None = None
    stand_in: bool = True
    preload: bool = False
    replicas: Count | Counts | None = None
    gpus: float | None = None
    where: dict[str, str] = {}
    own: frozenset[str] = frozenset()  # the fields that the project's own file gives

    @property
    def catalog_id(self) -> str:
        """Upstream's UUID, or one of ours that stays the same from run to run."""
        return self.uuid or str(uuid.uuid5(uuid.NAMESPACE_URL, self.id))

    @property
    def placement(self) -> Placement | None:
        """How many processes serve it, if the row says so."""
        return placement(self.replicas, self.gpus, self.where, self.id)


@functools.cache
def built_in() -> Mapping[str, Row]:
    """Upstream's rows as they stand in the file, read on first use (about 5 ms)."""
    import yaml  # 20 ms: not every start needs it

    rows: dict[str, Row] = yaml.load(BUILT_IN.read_text("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return rows


@functools.cache
def built_in_model(id: str) -> Model | None:
    row = built_in().get(id)
    return None if row is None else msgspec.convert({**row, "id": id}, Model)


def own_models(file: Path) -> dict[str, Model]:
    """The project's models over the built-in ones. Raises ConfigError with file, id, key and remedy."""
    return {id: _own_model(file, id, row) for id, row in _read(file).items()}


def _read(file: Path) -> dict[str, Row]:
    import yaml

    from bindings.ai.catalog import safe_yaml

    try:
        if file.stat().st_size > safe_yaml.MAX_BYTES:
            raise ConfigError(
                f"is larger than {safe_yaml.MAX_BYTES:,} bytes",
                where=file.name,
                remedy="Leave out what is not of this project.",
            )
        rows: dict[str, Row] = safe_yaml.parse(file.read_text("utf-8")) or {}
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"not valid YAML: {error.problem}", where=f"{file.name}{line}", remedy=EXAMPLE) from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError, OSError) as error:
        raise ConfigError(f"cannot be read: {error}", where=file.name, remedy=EXAMPLE) from None
    _check_table(file, rows)
    return rows


def _check_table(file: Path, rows: object) -> None:
    if not isinstance(rows, dict):
        raise ConfigError("holds no table of models", where=file.name, remedy=EXAMPLE)
    for id, row in rows.items():
        where = f"{file.name}: {id}"
        if not isinstance(id, str) or not isinstance(row, dict):
            raise ConfigError("a model is an id followed by its fields", where=where, remedy=EXAMPLE)
        _check_json(where, row)


def _check_json(where: str, value: object) -> None:
    """YAML has values that JSON, and the way to an engine's process, have not."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ConfigError(f"the key {key!r} must be a string", where=where, remedy=f'Write:  "{key}":')
            _check_json(f"{where}: {key}", item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_json(f"{where}[{index}]", item)
    elif isinstance(value, datetime.date):
        raise ConfigError("is a date", where=where, remedy=f'Put a date in quotes:  "{value}"')
    elif problem := _not_json(value):
        raise ConfigError(problem, where=where, remedy="Write what JSON has: texts, numbers, lists, tables.")


def _not_json(value: object) -> str:
    if isinstance(value, str):
        return "holds a NUL character" if "\0" in value else ""
    if isinstance(value, int):
        return "" if -(2**63) <= value < 2**63 else "does not fit in 64 bits"
    if isinstance(value, float):
        return "" if math.isfinite(value) else "is not a finite number"
    return "" if value is None else f"is a {type(value).__name__}, which JSON has not"


def _own_model(file: Path, id: str, row: Row) -> Model:
    where = f"{file.name}: {id}"
    engine = row.get("engine")
    if engine is not None:
        check_engine(engine, f"{where}: engine")
    try:
        model = msgspec.convert({**_merged(built_in().get(id, {}), row), "id": id, "own": list(row)}, Model)
    except msgspec.ValidationError as error:
        raise _wrong_field(where, str(error)) from None
    _check_options(model, where)
    check(model.replicas, model.gpus, where)
    return _with_paths(model, file.parent, where)


def _check_options(model: Model, where: str) -> None:
    for engine in ENGINES:
        engine_options.check(engine, _options(getattr(model, engine)), f"{where}: {engine}")
    if model.engine is not None:
        engine_options.check(model.engine, _options(model.options), f"{where}: options")


def _options(block: Row | None) -> Row:
    return {name: value for name, value in (block or {}).items() if name != "model"}


def check_engine(name: object, where: str) -> None:
    """Raises ConfigError when no engine is called ``name``, or it is not here; ``where`` says who calls it so."""
    if not isinstance(name, str) or name not in ENGINES:
        hint = close_to(name, ENGINES) if isinstance(name, str) else ""
        raise ConfigError(f"unknown engine {name!r}{hint}", where=where, remedy=f"Use one of: {', '.join(ENGINES)}")
    installed.check(name, where)


def _merged(below: Row, row: Row) -> Row:
    """``row`` over ``below``: null takes a field away; an engine's block that names a model stands alone."""
    merged = {**below, **row}
    for engine in ENGINES:
        block = row.get(engine)
        if isinstance(block, dict) and "model" not in block:
            merged[engine] = {**below.get(engine, {}), **block}
    return {key: value for key, value in merged.items() if value is not None}


def _wrong_field(where: str, text: str) -> ConfigError:
    """msgspec's complaint (``Expected `int`, got `str` - at `$.lora```) with the remedy beside it."""
    what, _, path = text.partition(" - at `$.")
    where = f"{where}: {path.rstrip('`')}" if path else where
    if "unknown field" in what:
        known = [name for name in (Evidence if path else Model).__struct_fields__ if name not in ("id", "own")]
        hint = close_to(what.split("`")[1], known)
        remedy = "" if hint else f"A model's fields: {', '.join(known)}"
        return ConfigError(what.removeprefix("Object contains ") + hint, where=where, remedy=remedy)
    return ConfigError(what[0].lower() + what[1:], where=where, remedy=_FIELDS)


def _with_paths(model: Model, folder: Path, where: str) -> Model:
    """Weights given as a path are found from the file that names them, not from the current folder."""
    changes: dict[str, Any] = {}
    for place in (*ENGINES, "options"):
        block = getattr(model, place) or {}
        if "model" in block:
            changes[place] = {**block, "model": _path(block["model"], folder, f"{where}: {place}: model")}
    if model.model is not None:
        changes["model"] = _path(model.model, folder, f"{where}: model")
    return msgspec.structs.replace(model, **changes)


def _path(name: object, folder: Path, where: str) -> str:
    if not isinstance(name, str) or not name:
        raise ConfigError(f"must be a path or a name, not {name!r}", where=where, remedy=EXAMPLE)
    if not name.startswith(("./", "../", "~")) and (not name.endswith(".gguf") or _is_of_a_hub(name)):
        return name
    try:
        return str((folder / Path(name).expanduser()).resolve())
    except (OSError, ValueError, RuntimeError) as error:  # a home nobody has, links in a circle
        raise ConfigError(f"{name} cannot be looked up: {error}", where=where, remedy="Write the whole path.") from None


def _is_of_a_hub(name: str) -> bool:
    """``org/name:FILE.gguf``."""
    return ":" in name and wanted(name) is not None


__all__ = ["TEXT_GENERATION", "Evidence", "Model", "Row", "built_in", "built_in_model", "check_engine", "own_models"]
