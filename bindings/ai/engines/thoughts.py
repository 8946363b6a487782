"""What a model thinks aloud between ``<think>`` and ``</think>``, parted from what it says."""

from __future__ import annotations

from bindings.ai.engines.tool_calls import overlap

START, END = "<think>", "</think>"


class ReasoningSplitter:
    """Reads one answer, piece by piece. Some chat templates write the opening tag, at the end of ``prompt``."""

    def __init__(self, prompt: str) -> None:
        self._held = ""
        self._read = self._thinking if prompt.rstrip().endswith(START) else self._beginning

    def read(self, text: str, *, last: bool) -> tuple[str, str]:
        """(content, reasoning)."""
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
        reasoning, tag, content = self._held.partition(END)
        if tag:
            self._held, self._read = content.lstrip("\n"), self._speaking
            return self._speaking(last)[0], reasoning
        kept = 0 if last else overlap(reasoning, END)
        self._held = reasoning[len(reasoning) - kept :]
        return "", reasoning[: len(reasoning) - kept]

    def _speaking(self, last: bool) -> tuple[str, str]:
        content, self._held = self._held, ""
        return content, ""


__all__ = ["ReasoningSplitter"]
