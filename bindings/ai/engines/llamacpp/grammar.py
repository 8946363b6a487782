"""JSON Schemas that llama.cpp makes grammars of, with llguidance where it is built with it.

A schema of which it can make none costs it a line in its log, and the answer is not kept to anything. So each schema
is tried first, on the way that answers go: four tokens, line ends made as likely as can be. Three in a row come
of no grammar, or of one that was given up after its first token, as a schema that has no end is.

``lenient`` has llguidance pass over the keywords it does not know (``uniqueItems``, ``not``, ``if`` …): the answer is
held against the whole schema when it is complete (``bindings.ai.answers.constraints``). Without
``whitespace_flexible`` a model that likes line ends could write nothing else until its tokens run out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from bindings.ai.engine import features
from bindings.ai.engines.subschemas import Schema, everywhere

GUIDANCE = {"whitespace_flexible": False, "lenient": True}
MAX_CACHED_SCHEMAS = 256  # schemas whose grammar is known
MAX_PATTERNS = 16  # pattern keywords of a schema that are tried one by one
MAX_BOUND = 2**53  # bounds beyond it: more than a double holds, and more than llguidance takes
BOUND_KEYWORDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
PATTERN_KEYWORDS = ("pattern", "patternProperties")
PROBE = {"prompt": "JSON", "max_tokens": 4, "temperature": 0, "logit_bias": [["\n", 1000.0]], "stream": True,
         "cache_prompt": False}  # fmt: skip


class Grammars:
    """``complete``: the text that llama.cpp answers to a request in its words."""

    def __init__(self, complete: Callable[[dict[str, Any]], Awaitable[str]]) -> None:
        self._complete = complete
        self._known: dict[bytes, Schema | None] = {}

    async def of(self, schema: Schema) -> Schema:
        """What to ask llama.cpp for instead of ``schema``. Raises EngineError 5024 where it keeps to nothing."""
        key = msgspec.json.encode(schema)
        if key not in self._known:
            while len(self._known) >= MAX_CACHED_SCHEMAS:
                self._known.pop(next(iter(self._known)))
            self._known[key] = await self._found(schema)
        if (found := self._known[key]) is None:
            raise features.no_json()
        return found

    async def _found(self, schema: Schema) -> Schema | None:
        """``schema``, or without the patterns that llama.cpp cannot read."""
        bounded: Schema = everywhere(schema, _bounded)
        if await self._works(bounded):
            return {**bounded, "x-guidance": GUIDANCE}
        bad = [piece for piece in _patterns(bounded) if not await self._works(piece)]
        lighter: Schema = everywhere(bounded, lambda node: _without(node, bad))
        return {**lighter, "x-guidance": GUIDANCE} if bad and await self._works(lighter) else None

    async def _works(self, schema: Schema) -> bool:
        text = await self._complete({**PROBE, "json_schema": {**schema, "x-guidance": GUIDANCE}})
        return "\n" * 3 not in text


def _bounded(node: Schema) -> Schema:
    """Without bounds that bound nothing."""
    return {
        name: value
        for name, value in node.items()
        if not (name in BOUND_KEYWORDS and isinstance(value, int | float) and abs(value) >= MAX_BOUND)
    }


def _patterns(schema: Schema) -> list[Schema]:
    """Each of the patterns as a schema of its own."""
    found: list[Schema] = []

    def look(node: Schema) -> Schema:
        found.extend(piece for piece in _pieces(node) if piece not in found)
        return node

    everywhere(schema, look)
    return found[:MAX_PATTERNS]


def _pieces(node: Schema) -> list[Schema]:
    return [
        {name: dict.fromkeys(node[name], True) if name == "patternProperties" else node[name]}
        for name in PATTERN_KEYWORDS
        if isinstance(node.get(name), dict | str)
    ]


def _without(node: Schema, bad: list[Schema]) -> Schema:
    names = {name for piece in _pieces(node) if piece in bad for name in piece}
    return {name: value for name, value in node.items() if name not in names}


__all__ = ["Grammars"]
