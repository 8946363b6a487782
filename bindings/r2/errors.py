"""What R2 says of a call it refuses: ``method: text (code)``. Facts: docs/reference/bindings.md#r2."""

from __future__ import annotations

from bindings.base import CallError


class R2Error(Exception):
    """``code`` is the service's."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        super().__init__(text)

    def during(self, method: str) -> CallError:
        return CallError("Error", f"{method}: {self} ({self.code})", code=self.code)


def type_error(text: str) -> CallError:
    return CallError("TypeError", text)


def wrong_field(name: str, options: str, kind: str) -> CallError:
    """A member of a call's options is no ``kind``."""
    return type_error(
        f"Incorrect type for the '{name}' field on '{options}': the provided value is not of type '{kind}'."
    )


def no_bucket() -> R2Error:
    return R2Error(10006, "The specified bucket does not exist.")


def bad_name() -> R2Error:
    return R2Error(10020, "The specified object name is not valid.")


def metadata_too_large() -> R2Error:
    return R2Error(10012, "Your metadata headers exceed the maximum allowed metadata size.")


def too_large() -> R2Error:
    return R2Error(100100, "Your proposed upload exceeds the maximum allowed object size.")


def bad_page() -> R2Error:
    return R2Error(10022, "MaxKeys params must be positive integer <= 1000.")


def bad_range() -> R2Error:
    return R2Error(10039, "The requested range is not satisfiable")


def no_upload() -> R2Error:
    return R2Error(10024, "The specified multipart upload does not exist.")


def no_part() -> R2Error:
    return R2Error(10025, "One or more of the specified parts could not be found.")


def small_part() -> R2Error:
    return R2Error(10011, "Your proposed upload is smaller than the minimum allowed object size.")


def bad_parts() -> R2Error:
    return R2Error(10048, "There was a problem with the multipart upload.")
