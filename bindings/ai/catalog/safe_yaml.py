"""YAML a person wrote, read so that no file can take the supervisor down with it.

libyaml builds nested values by recursion in C, where depth ends the process, and aliases can multiply a few
lines into gigabytes. So the stream of events, which is flat, is looked at before anything is built.
"""

from __future__ import annotations

from typing import Any

import yaml

MAX_BYTES = 1_000_000
MAX_DEPTH = 50
MAX_DIGITS = 1000  # of a number

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]
    """Says where in the file a value is that cannot be built, a date such as 2026-99-99."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        try:
            return super().construct_object(node, deep)
        except (ValueError, TypeError, OverflowError) as error:
            raise _refused(str(error), node.start_mark) from None


def parse(text: str) -> Any:
    """The value in ``text``. Raises ``yaml.MarkedYAMLError``, also for what is too deep, too long or an alias."""
    _look(text)
    return yaml.load(text, _Loader)  # noqa: S506 (a safe loader's subclass)


def _look(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, _Base):
        if isinstance(event, yaml.AliasEvent):
            raise _refused(f"the alias *{event.anchor} is not supported; write its value again", event.start_mark)
        if isinstance(event, yaml.ScalarEvent) and _endless(event):
            raise _refused(f"a number of more than {MAX_DIGITS} digits", event.start_mark)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise _refused(f"nested more than {MAX_DEPTH} deep", event.start_mark)


def _endless(event: yaml.ScalarEvent) -> bool:
    plain = event.implicit[0]
    return plain and len(event.value) > MAX_DIGITS and event.value[0] in "+-0123456789"


def _refused(problem: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


__all__ = ["MAX_BYTES", "parse"]
