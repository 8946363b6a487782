"""Answers that are kept to a JSON Schema: which of vLLM's backends sees to it, and how a schema is put to it.

Theory of operation
-------------------
vLLM's ``auto`` picks a backend for each request, but the model's process keeps to the first it is asked for: what a
schema is answered with would depend on the schemas before it. So one is chosen when a model is opened. It is
``guidance``, which takes nearly all of JSON Schema; what it cannot turn into a grammar it leaves out (``lenient``),
and the answer is held against the schema when it is there. No space but within strings, and no properties that the
schema does not name, as xgrammar has it: a small model would go on with either until it may say no more.

Some models' answers are parted by tags that only ``xgrammar`` knows (``structural_tag``); theirs is that one.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from bindings.ai.engine import features
from bindings.ai.engines.vllm import compat
from bindings.ai.engines.vllm.interfaces import AsyncLLM, SamplingParams

DEFAULT_BACKEND = "guidance"
TAG_BACKEND = "xgrammar"
_ANY_OBJECT = {"type": "object"}
_NAMED, _INNER = ("properties", "$defs", "definitions"), ("items", "prefixItems", "anyOf", "oneOf")
_SPLIT = {"allOf", "if", "not", "dependentSchemas", "patternProperties", "unevaluatedProperties"}


def config(options: Mapping[str, Any] | None) -> object:
    """vLLM's StructuredOutputsConfig. ``options``: what the person says in ``structured_outputs_config``."""
    options = dict(options or {})
    if options.get("backend") in (None, "auto"):
        options["backend"] = DEFAULT_BACKEND
    if options["backend"] in (DEFAULT_BACKEND, TAG_BACKEND):
        options.setdefault("disable_any_whitespace", True)
    return compat.get("StructuredOutputsConfig")(**options)


class StructuredOutputs:
    """``backend``: the one for all of this model's requests."""

    def __init__(self, llm: AsyncLLM) -> None:
        self._model, self._config = llm.model_config, llm.vllm_config.structured_outputs_config
        self._tokenizer = llm.renderer.tokenizer
        self._params, self._structured = map(compat.get, ("SamplingParams", "StructuredOutputsParams"))

    @property
    def backend(self) -> str:
        return str(self._config.backend)

    def choose_backend(self, *, tagged: bool) -> None:
        """``tagged``: the answers of this model are parted by tags, in JSON mode too."""
        if self.backend == DEFAULT_BACKEND and (tagged or not self._takes(self.params(_ANY_OBJECT))):
            self._config.backend = TAG_BACKEND  # the model's process takes what the first request says

    def params(self, schema: dict[str, Any]) -> object:
        """vLLM's StructuredOutputsParams. ``{}`` is any object."""
        return self._structured(json=self.as_told(schema))

    def as_told(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The schema as the backend is told."""
        guidance = {"lenient": True, "whitespace_flexible": not self._config.disable_any_whitespace}
        return {
            **closed(schema or _ANY_OBJECT),
            **({"x-guidance": guidance} if self.backend == DEFAULT_BACKEND else {}),
        }

    def check(self, params: SamplingParams) -> None:
        """Raises EngineError 5024 where no grammar can be made of what the answer is to match."""
        if params.structured_outputs is not None and not self._takes(params.structured_outputs):
            raise features.no_json()

    def _takes(self, structured: object) -> bool:
        params = self._params(structured_outputs=copy.copy(structured))  # it is marked by what looks at it
        try:
            params._validate_structured_outputs(self._model, self._config, self._tokenizer)
        except Exception:
            return False
        return True


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """No properties beside those named. A schema that describes one object in several places stays open: closing one
    would forbid what another asks for."""
    return schema if _splits(schema) else _close(schema)


def _splits(node: object) -> bool:
    if isinstance(node, list):
        return any(map(_splits, node))
    if not isinstance(node, dict):
        return False
    both = "properties" in node and not node.keys().isdisjoint(("anyOf", "oneOf", "$ref"))
    return both or not _SPLIT.isdisjoint(node) or any(map(_splits, node.values()))


def _close(node: Any) -> Any:
    if isinstance(node, list):
        return [_close(one) for one in node]
    if not isinstance(node, dict):
        return node
    copy = {
        key: {name: _close(one) for name, one in value.items()}
        if key in _NAMED and isinstance(value, dict)
        else _close(value)
        if key in _INNER
        else value
        for key, value in node.items()
    }
    named = node.get("properties")
    if isinstance(named, dict) and {*node.get("required", ())} <= named.keys():
        copy.setdefault("additionalProperties", False)
    return copy


__all__ = ["DEFAULT_BACKEND", "TAG_BACKEND", "StructuredOutputs", "closed", "config"]
