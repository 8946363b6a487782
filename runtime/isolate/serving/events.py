"""Events that are no requests: the script deals with what a product's class makes of them."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import Any

from runtime.isolate.remote import Caller
from runtime.isolate.script.events import find_event_handler
from runtime.isolate.serving.worker import Worker, failure, is_the_scripts


class Events:
    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def event(
        self, event: int, entrypoint: str, handler: str, client: str, binding: str, args: dict[str, Any]
    ) -> object:
        """Have the script deal with ``client(**args)``, and ask that for the outcome; of what the script raises too, if
        it has a word for that. ``client(caller, **args)`` where it may call a binding."""
        worker = self._worker
        ctx = worker.begin(event)
        made = resolve_name(client)
        subject = made(Caller(worker.channel, binding, worker.line), **args) if binding else made(**args)
        try:
            handle = find_event_handler(worker.script, entrypoint, handler)
            returned = await worker.metered(handle(subject, worker.env, ctx))
            outcome: object = subject.outcome(returned)
            return outcome
        except BaseException as error:
            if not is_the_scripts(error):
                raise
            if (failed := getattr(subject, "failed", None)) is None:
                raise failure(error) from None
            told: object = failed(failure(error))
            return told
        finally:
            ctx.responded()
