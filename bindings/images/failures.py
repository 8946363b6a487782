"""What goes wrong with an image, by the service's numbers.

https://developers.cloudflare.com/images/reference/troubleshooting/
"""

from __future__ import annotations

BAD_OPTIONS, TOO_LARGE, TOO_MANY_PIXELS = 9401, 9402, 9413
UNKNOWN_FORMAT, TOO_MUCH_WORK, INTERNAL, USED = 9520, 9522, 9523, 9525
NO_IMAGE = -1  # upstream's local server answers with a status alone


class ImageFailure(Exception):
    """``code`` is the service's."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        super().__init__(text)


def worded(operation: str, code: int, text: str) -> tuple[str, int]:
    """(message, code), as upstream's binding has them; ``operation`` is INFO or TRANSFORM."""
    if code == NO_IMAGE:
        return f"Unexpected error response 500: {text}", INTERNAL
    return f"IMAGES_{operation}_ERROR {code}: {text}", code


__all__ = [
    "BAD_OPTIONS", "INTERNAL", "NO_IMAGE", "TOO_LARGE", "TOO_MANY_PIXELS", "TOO_MUCH_WORK", "UNKNOWN_FORMAT", "USED",
    "ImageFailure", "worded",
]  # fmt: skip
