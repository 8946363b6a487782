"""What a model thinks aloud between ``<think>`` and ``</think>``, parted from what it says."""

from __future__ import annotations

from bindings.ai.engines.tool_calls import overlap

START, END = "<think>", "</think>"


class Thoughts:
    """Reads one answer, piece by piece. Some chat templates write the opening tag, at the end of ``prompt``."""

    def __init__(self, prompt: str) -> None:
        self._held = ""
        self._read = self._thinking if prompt.rstrip().endswith(START) else self._beginning

    def read(self, text: str, *, last: bool) -> tuple[str, str]:
        """(what is said, what is thought)."""
        self._held += text
        return self._read(last)

    def _beginning(self, last: bool) -> tuple[str, str]:
        begun = self._held.lstrip()
        if begun.startswith(START):
            self._held, self._read = begun[len(START) :], self._thinking
            return self._thinking(last)
        if START.startswith(begun) and not last:
            return "", ""
        self._read = self._speaking
        return self._speaking(last)

    def _thinking(self, last: bool) -> tuple[str, str]:
        thought, tag, said = self._held.partition(END)
        if tag:
            self._held, self._read = said.lstrip("\n"), self._speaking
            return self._speaking(last)[0], thought
        kept = 0 if last else overlap(thought, END)
        self._held = thought[len(thought) - kept :]
        return "", thought[: len(thought) - kept]

    def _speaking(self, last: bool) -> tuple[str, str]:
        said, self._held = self._held, ""
        return said, ""


__all__ = ["Thoughts"]
