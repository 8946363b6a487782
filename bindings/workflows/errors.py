"""What upstream says when something is refused. Facts: docs/reference/bindings.md#workflows."""

from __future__ import annotations

from typing import Any

from bindings.messages import CallError

SLEEP_PAST = "You can't sleep until a time in the past, time-traveler"
DOCS = "https://developers.cloudflare.com/workflows/build/sleeping-and-retrying/"


class WorkflowError(CallError):
    """``code``: ``instance.not_found`` and the like, for whoever answers over HTTP."""

    def __init__(self, message: str, code: str = "") -> None:
        self.code = code
        super().__init__("Error", message)


def coded(code: str, message: str) -> WorkflowError:
    return WorkflowError(f"WorkflowError: ({code}) {message}", code)


def invalid_id() -> WorkflowError:
    return WorkflowError("WorkflowError: Workflow instance has invalid id", "instance.invalid_id")


def already_exists(id: str) -> WorkflowError:
    return coded("instance.already_exists", f'Workflow instance with id "{id}" already exists')


def not_found() -> WorkflowError:
    return WorkflowError("instance.not_found", "instance.not_found")


def cannot_terminate() -> WorkflowError:
    return coded("instance.cannot_terminate", "Cannot terminate instance since its on a finite state")


def cannot_restart(name: str) -> WorkflowError:
    return coded("instance.cannot_restart", f'Step "{name}" not found in execution history')


def bad_argument(what: str = "Provided argument is invalid") -> WorkflowError:
    return coded("body", what)


def batch_size(what: str) -> WorkflowError:
    return WorkflowError(f"WorkflowError: batchCreate {what}", "body")


def fatal(message: str) -> WorkflowError:
    return WorkflowError(f"WorkflowFatalError: {message}")


def bad_step_name(name: object) -> WorkflowError:
    return fatal(f'Step name "{str(name)[:300]}" exceeds max length (256 chars) or invalid characters found')


def bad_step_config(name: str) -> WorkflowError:
    return fatal(f'Step config for "{name}" is in a invalid format. See {DOCS}')


def too_many_steps(limit: int) -> WorkflowError:
    return fatal(
        f"The limit of {limit} steps has been reached. This limit can be changed in your worker configuration."
    )


def aborted(why: str) -> CallError:
    return CallError("Error", f"Aborting engine: {why}")


Failure = dict[str, Any]
"""How a step failed, as it is kept: {"name", "message", "stack"?}."""


def timed_out(ms: int) -> Failure:
    return {"name": "Error", "message": f"WorkflowTimeoutError: Execution timed out after {ms}ms"}


def output_too_large(step: str) -> Failure:
    what = f"Step {step} output is too large. Maximum allowed size is 1MiB."
    return {"name": "Error", "message": f"WorkflowInternalError: {what}"}


def storage_exceeded() -> Failure:
    return {"name": "Error", "message": "WorkflowFatalError: The instance has exceeded the 1GiB storage limit"}


__all__ = [
    "SLEEP_PAST", "Failure", "WorkflowError", "aborted", "already_exists", "bad_argument", "bad_step_config",
    "bad_step_name", "batch_size", "cannot_restart", "cannot_terminate", "coded", "fatal", "invalid_id", "not_found",
    "output_too_large", "storage_exceeded", "timed_out", "too_many_steps",
]  # fmt: skip
