#!/bin/sh
# xgrammar 0.2.8, JSON Schemas as JSON Schema 2020-12 has them, where additionalProperties is true unless it is said:
#   {"type": "object", "required": ["a"]}    the only text that the grammar takes is {}, which lacks "a"; {"a":1} it refuses
#   properties beside allOf                  the properties are forgotten: {"a":"x","b":1} is refused, {"b":1} taken
#   {"type": "array", "minItems": 1}         no grammar: "minItems is greater than the number of prefixItems"
# By default (strict_mode) what a schema does not name is forbidden; a property that is required and not described is then
# left out without a word. vLLM 0.32's "auto" takes this for a grammar of the schema and answers {}.
# Seen: "{}: True", '{"a":1}: False', and the error. Exits non-zero once one of the three is otherwise.
# Needs torch, and takes a CPU build where pip's find-links has one.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check xgrammar==0.2.8 torch==2.13.0
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from xgrammar import Grammar
from xgrammar.testing import _is_grammar_accept_string as takes

bare = Grammar.from_json_schema({"type": "object", "required": ["a"]})
beside = Grammar.from_json_schema({"type": "object", "properties": {"a": {"type": "string"}},
                                   "allOf": [{"properties": {"b": {"type": "integer"}}, "required": ["b"]}]})
seen = {text: takes(grammar, text) for grammar, texts in ((bare, ("{}", '{"a":1}')), (beside, ('{"a":"x","b":1}', '{"b":1}')))
        for text in texts}
print(*(f"{text}: {taken}" for text, taken in seen.items()), sep="\n")
try:
    Grammar.from_json_schema({"type": "array", "minItems": 1})
    refused = False
except RuntimeError as error:
    print(error)
    refused = True
sys.exit(not (refused and list(seen.values()) == [True, False, False, True]))
PYTHON
