"""A vLLM general plugin: tokens come by the clock instead of from a model.

Everything around the model is vLLM's own: the processes, the sockets between them, the frontend. Only EngineCore's
``add_request`` and ``step`` are replaced: a step lasts PACED_MS milliseconds and gives every request that was there
when it began one token, all in one ``EngineCoreOutputs``, as a model's step does.

Put this folder on PYTHONPATH; nothing else has to be installed. Settings come from the environment, for vLLM itself
starts EngineCore:

PACED_MS      milliseconds of a step; without it the plugin does nothing
PACED_TOKENS  FIRST-LAST: token ids, used in turn
PACED_TEXTS   JSON, {"MAX_TOKENS": TEXT}: what a request for so many tokens is answered with instead, which then stops
PACED_CPU     the CPU that EngineCore runs on
PACED_LOG     a file for the lines ``core PID`` and ``add``, ``end`` or ``abort`` with ID TIME (CLOCK_MONOTONIC, s);
              PACED_LOG.made.PID beside it has how many tokens that core has made so far, in 8 bytes, the lowest first
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vllm.v1.request import Request


class Source:
    """The requests being answered, and when the next step ends."""

    def __init__(self) -> None:
        first, _, last = os.environ.get("PACED_TOKENS", "300-500").partition("-")
        self.first, self.count = int(first), int(last) - int(first) + 1
        self.interval = float(os.environ["PACED_MS"]) / 1000
        self.due = 0.0
        self.texts: dict[int, list[int]] = {}  # by the number of tokens that is asked for
        self.requests: dict[
            str, list[Any]
        ] = {}  # id → [client, tokens made, tokens wanted, the tokens if they are told]
        path = os.environ.get("PACED_LOG")
        self._log = open(path, "a", buffering=1) if path else None  # noqa: SIM115 (as long as the process)
        self._made, self._total = open(f"{path}.made.{os.getpid()}", "wb", buffering=0) if path else None, 0  # noqa: SIM115
        self.say(f"core {os.getpid()}")
        if cpu := os.environ.get("PACED_CPU"):
            for thread in os.listdir("/proc/self/task"):
                os.sched_setaffinity(int(thread), {int(cpu)})

    def read_texts(self, tokenizer: Any) -> None:
        for most, text in json.loads(os.environ.get("PACED_TEXTS", "{}")).items():
            self.texts[int(most)] = [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]

    def say(self, text: str) -> None:
        if self._log is not None:
            self._log.write(text + "\n")

    def tell(self, tokens: int) -> None:
        self._total += tokens
        if self._made is not None:
            os.pwrite(self._made.fileno(), self._total.to_bytes(8, "little"), 0)

    def add(self, request: Request) -> None:
        text = self.texts.get(request.max_tokens)
        wanted = request.max_tokens if text is None else len(text)
        self.requests[request.request_id] = [request.client_index, 0, wanted, text]
        self.say(f"add {request.request_id} {time.monotonic():.6f}")

    def abort(self, ids: list[str]) -> None:
        for name in ids:
            if self.requests.pop(name, None) is not None:
                self.say(f"abort {name} {time.monotonic():.6f}")

    def wait(self) -> None:
        """Until the step's end. An idle engine begins at once; a busy one keeps to the clock."""
        now = time.monotonic()
        self.due = self.due + self.interval if now < self.due + self.interval else now + self.interval
        time.sleep(max(0.0, self.due - now))


def register() -> None:
    if "PACED_MS" not in os.environ:
        return
    import torch
    from vllm.tokenizers import cached_tokenizer_from_config
    from vllm.v1.engine import EngineCoreOutput, EngineCoreOutputs, FinishReason, core

    sources: list[Source] = []

    def source() -> Source:
        if not sources:
            sources.append(Source())
        return sources[0]

    def add_request(self: core.EngineCore, request: Request, request_wave: int = 0) -> None:
        if "PACED_TEXTS" in os.environ and not source().texts:
            source().read_texts(cached_tokenizer_from_config(self.vllm_config.model_config))
        source().add(request)

    def abort_requests(self: core.EngineCore, request_ids: list[str]) -> None:
        source().abort(request_ids)

    def has_work(self: core.EngineCore) -> bool:
        return bool(source().requests)

    def step(self: core.EngineCore) -> tuple[dict[int, Any], bool]:
        paced, begun = source(), list(source().requests.items())
        model = self.vllm_config.model_config
        pools = model.runner_type == "pooling"
        vector = torch.linspace(-1, 1, model.get_hidden_size()) if pools else None
        paced.wait()
        self._process_aborts_queue()
        made: dict[int, list[Any]] = {}
        for name, state in begun:
            if name not in paced.requests:
                continue
            client, number, wanted, text = state
            token = paced.first + number % paced.count if text is None else text[number]
            state[1] += 1
            ended = state[1] >= wanted
            if ended:
                del paced.requests[name]
                paced.say(f"end {name} {time.monotonic():.6f}")
            reason = FinishReason.LENGTH if text is None else FinishReason.STOP
            made.setdefault(client, []).append(EngineCoreOutput(
                request_id=name, new_token_ids=[] if pools else [token], pooling_output=vector if pools else None,
                finish_reason=reason if ended else None,
            ))  # fmt: skip
        paced.tell(sum(map(len, made.values())))
        return {client: EngineCoreOutputs(outputs=outputs) for client, outputs in made.items()}, True

    core.EngineCore.add_request = add_request
    core.EngineCore.abort_requests = abort_requests
    core.EngineCore.step = core.EngineCore.step_with_batch_queue = step
    core.EngineCoreProc.has_work = has_work
