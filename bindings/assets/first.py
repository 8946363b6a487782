"""``run_worker_first``: which requests are the worker's, whatever files there are.

https://developers.cloudflare.com/workers/static-assets/routing/worker-script/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property

_MAX_RULES, _MAX_RULE_CHARS = 100, 100


class WorkerFirst:
    """``rules``: ``/path`` and ``!/path``, where ``*`` is anything; or True, all of them; or False, none."""

    def __init__(self, rules: bool | Sequence[str]) -> None:
        self.always = rules is True
        self.rules = () if isinstance(rules, bool) else tuple(rules)

    def says(self, path: str) -> bool | None:
        """True: the worker's; False: not the worker's; None: that depends on the files."""
        if self.always:
            return True
        if not self.rules:
            return None
        if self._assets.fullmatch(path):
            return False
        return True if self._worker.fullmatch(path) else None

    @cached_property
    def _assets(self) -> re.Pattern[str]:
        return _globs(rule[1:] for rule in self.rules if rule.startswith("!"))

    @cached_property
    def _worker(self) -> re.Pattern[str]:
        return _globs(rule for rule in self.rules if not rule.startswith("!"))


def problem(rules: Sequence[str]) -> str | None:
    """What is wrong with them."""
    if not rules:
        return "has no rules"
    if len(rules) > _MAX_RULES:
        return f"has {len(rules)} rules; {_MAX_RULES} are the most"
    for rule in rules:
        if not rule.startswith(("/", "!/")):
            return f"'{rule}' must begin with / or !/"
        if len(rule) > _MAX_RULE_CHARS:
            return f"'{rule[:20]}…' has over {_MAX_RULE_CHARS} characters"
    if all(rule.startswith("!") for rule in rules):
        return "has only rules that begin with !: there is nothing to make an exception from"
    return next(_redundant(rules), None)


def _redundant(rules: Sequence[str]) -> Iterator[str]:
    for place, rule in enumerate(rules):
        if rule in rules[:place]:
            yield f"has '{rule}' twice"
        if rule.endswith("*"):
            beyond = (other for other in rules if other != rule and other.startswith(rule[:-1]))
            yield from (f"'{other}' is redundant beside '{rule}'" for other in beyond)


def _globs(rules: Iterator[str]) -> re.Pattern[str]:
    """Any of them; ``*`` is any characters, slashes too. Never matches where there are none."""
    return re.compile("|".join(".*".join(map(re.escape, rule.split("*"))) for rule in rules) or "(?!)", re.DOTALL)


__all__ = ["WorkerFirst", "problem"]
