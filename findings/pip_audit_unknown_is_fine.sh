#!/bin/sh
# pip-audit 2.10.1: a package that PyPI tells nothing of passes the audit. The exit code is 0 and the one line that says so
# stands among the others, so behind a mirror without PyPI's JSON API, where no package at all can be looked up, a CI job is
# green. With --strict it is 1.
# Seen: "without --strict: 0, with it: 1". Exits non-zero once the first is not 0 any more. Needs PyPI, or its mirror.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pip-audit==2.10.1
hash=$(printf %064d 0)
echo "pilotlight-that-nobody-published==1.0 --hash=sha256:$hash" > "$folder/requirements.txt"
audit() {
  "$folder/venv/bin/pip-audit" "$@" --disable-pip --require-hashes --progress-spinner off --requirement "$folder/requirements.txt"
}
"$folder/venv/bin/pip-audit" --version
plain=0 strict=0
audit || plain=$?
audit --strict || strict=$?
echo "without --strict: $plain, with it: $strict"
[ "$plain" = 0 ] && [ "$strict" = 1 ]
