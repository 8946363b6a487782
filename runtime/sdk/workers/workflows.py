"""What a workflow imports besides its base: ``from workers.workflows import NonRetryableError``."""

from __future__ import annotations

__all__ = ["NonRetryableError"]


class NonRetryableError(Exception):
    """Raised in a step, it fails that step at once."""
