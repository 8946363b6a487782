#!/bin/sh
# prometheus_client 0.26.0, OpenMetrics with its default escaping: a metric whose name has a colon, as all of vLLM's have
# ("vllm:tokens"), is written under two names. TYPE says vllm:tokens, the samples vllm_tokens_total. A colon is legal in a
# metric's name (OpenMetrics 1.0.0, "metricname"), and the same library's Prometheus text keeps it: client_python's open
# issue 1177. "escaping=allow-utf-8" writes what was meant.
# Seen: "# TYPE vllm:tokens counter", "vllm_tokens_total 1.0". Exits non-zero once the samples keep their colon.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check prometheus_client==0.26.0
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.exposition import choose_encoder

registry = CollectorRegistry()
Counter("vllm:tokens", "Tokens.", registry=registry).inc()
encode, kind = choose_encoder("application/openmetrics-text; version=1.0.0")
text = encode(registry).decode()
print(kind, text, sep="\n")
assert "vllm:tokens_total 1.0" in generate_latest(registry).decode()
sys.exit(not ("# TYPE vllm:tokens counter" in text and "\nvllm_tokens_total 1.0" in text))
PYTHON
