"""``.dev.vars`` and ``.env`` mean here what they mean to wrangler: npm's dotenv and dotenv-expand said all of these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from runtime import config

# Recorded with dotenv 16.3.1 and dotenv-expand 12.0.2, the versions in wrangler 4.164.0 (Node 20).
# A file's text and its values, the same with expansion:
PLAIN: list[tuple[str, dict[str, str]]] = [
    ('A=pass#word', {'A': 'pass'}), ('B=`x "y"`', {'B': 'x "y"'}), ('U=postgres://h/db#f', {'U': 'postgres://h/db'}),
    ('A=plain', {'A': 'plain'}), ('A = spaced = out  ', {'A': 'spaced = out'}), ('A=', {'A': ''}),
    ('A=""', {'A': ''}), ("A=''", {'A': ''}), ('export A=1', {'A': '1'}), ('  export   A = 1', {'A': '1'}),
    ('A="double #no" # yes', {'A': 'double #no'}), ('A="line\\nbreak\\rtab\\t"', {'A': 'line\nbreak\rtab\\t'}),
    ("A='line\\nbreak'", {'A': 'line\\nbreak'}), ('A=line\\nbreak', {'A': 'line\\nbreak'}),
    ('A=`tick\\nbreak`', {'A': 'tick\\nbreak'}), ('A="one\ntwo\nthree"\nB=2', {'A': 'one\ntwo\nthree', 'B': '2'}),
    ("A='one\ntwo'\nB=2", {'A': 'one\ntwo', 'B': '2'}), ('A=`one\ntwo`\nB=2', {'A': 'one\ntwo', 'B': '2'}),
    ('A="open\nB=2', {'A': '"open', 'B': '2'}), ("A='open\nB=2", {'A': "'open", 'B': '2'}),
    ('A=1\r\nB="2"\r\nC=\'a\r\nb\'\r\n', {'A': '1', 'B': '2', 'C': 'a\nb'}), ('A=1\rB=2', {'A': '1', 'B': '2'}),
    ('A=1\nA=2', {'A': '2'}), ('A: yaml', {'A': 'yaml'}), ('A:no', {}), ('a.b-c=1', {'a.b-c': '1'}),
    ('1A=x', {'1A': 'x'}), ("A=it's", {'A': "it's"}), ('A="say \\"hi\\""', {'A': 'say \\"hi\\"'}),
    ("A='it\\'s'", {'A': "it\\'s"}), ('A="a\'b`c"', {'A': "a'b`c"}), ('A=x "y" z', {'A': 'x "y" z'}),
    ('A="x" tail', {'A': '"x" tail'}), ('A="x"tail"', {'A': 'x"tail'}), ('# A=1\nB=2', {'B': '2'}),
    ('   # A=1\n\n\nB=2', {'B': '2'}), ('A=1 #c', {'A': '1'}), ('A=1#c', {'A': '1'}), ('A=#c', {'A': ''}),
    ('A= #c', {'A': ''}), ('A="#"', {'A': '#'}), ('A=#', {'A': ''}), ('#', {}), ('', {}), ('A', {}), ('A B=1', {}),
    ('é=1\nB=é ü', {'B': 'é ü'}), ('A=\xa0x\xa0', {'A': 'x'}), ('A=json {"a": 1}', {'A': 'json {"a": 1}'}),
    ('A={"a": "b#c"}', {'A': '{"a": "b'}), ('A=\'{"a": "b#c"}\'', {'A': '{"a": "b#c"}'}),
    ('A=x\\ny\nB="\\\\n"', {'A': 'x\\ny', 'B': '\\\n'}), ('A=\tx\t', {'A': 'x'}), ('A==x', {'A': '=x'}),
    ('A=x=y', {'A': 'x=y'}), ('A="x\nB=y"', {'A': 'x\nB=y'}), ('A=-----BEGIN\nB=2', {'A': '-----BEGIN', 'B': '2'}),
    ('A="-----BEGIN\nMII=\n-----END"', {'A': '-----BEGIN\nMII=\n-----END'}), ("A='x' 'y'", {'A': "x' 'y"}),
    ('A="x" "y"', {'A': 'x" "y'}), ("A=''x''", {'A': "'x'"}), ('=x', {}), ('A=\\', {'A': '\\'}),
    ('A="\\', {'A': '"\\'}), ('A.=1', {'A.': '1'}), ('P=100$', {'P': '100$'}), ('P=$1', {'P': '$1'}),
    ('B=${}', {'B': '${}'}), ('E=file', {'E': 'file'}), ('E=', {'E': ''}),
]  # fmt: skip
# A text, its values, and these once expanded:
EXPANDED: list[tuple[str, dict[str, str], dict[str, str]]] = [
    ("A='single $B #no' # yes", {'A': 'single $B #no'}, {'A': 'single  #no'}),
    ('A=1\nB=$A', {'A': '1', 'B': '$A'}, {'A': '1', 'B': '1'}),
    ('A=1\nB=${A}', {'A': '1', 'B': '${A}'}, {'A': '1', 'B': '1'}),
    ("A=1\nB='${A}'", {'A': '1', 'B': '${A}'}, {'A': '1', 'B': '1'}),
    ('A=1\nB=\\$A', {'A': '1', 'B': '\\$A'}, {'A': '1', 'B': '$A'}),
    ('A=1\nB=\\${A}', {'A': '1', 'B': '\\${A}'}, {'A': '1', 'B': '${A}'}),
    ('B=${A}\nA=1', {'B': '${A}', 'A': '1'}, {'B': '', 'A': '1'}), ('B=$NOPE.', {'B': '$NOPE.'}, {'B': '.'}),
    ('B=${NOPE:-x}', {'B': '${NOPE:-x}'}, {'B': 'x'}), ('B=${NOPE-x}', {'B': '${NOPE-x}'}, {'B': 'x'}),
    ('A=\nB=${A:-x}', {'A': '', 'B': '${A:-x}'}, {'A': '', 'B': 'x'}),
    ('A=\nB=${A-x}', {'A': '', 'B': '${A-x}'}, {'A': '', 'B': 'x'}),
    ('A=1\nB=${A:+y}', {'A': '1', 'B': '${A:+y}'}, {'A': '1', 'B': 'y'}), ('B=${A:+y}', {'B': '${A:+y}'}, {'B': ''}),
    ('A=1\nB=${A+y}', {'A': '1', 'B': '${A+y}'}, {'A': '1', 'B': 'y'}),
    ('B=${NOPE:-${ALSO:-deep}}', {'B': '${NOPE:-${ALSO:-deep}}'}, {'B': 'deep'}),
    ('A=1\nB=${NOPE:-$A}', {'A': '1', 'B': '${NOPE:-$A}'}, {'A': '1', 'B': '1'}),
    ('A=a\nB=${A}b\nC=$B$A', {'A': 'a', 'B': '${A}b', 'C': '$B$A'}, {'A': 'a', 'B': 'ab', 'C': 'aba'}),
    ('P=pa$$word', {'P': 'pa$$word'}, {'P': 'pa$'}), ('P=a$b$c', {'P': 'a$b$c'}, {'P': 'a'}),
    ('A=1\nB=$A_x ${A}_x', {'A': '1', 'B': '$A_x ${A}_x'}, {'A': '1', 'B': ' 1_x'}),
    ('A=\\$X\nX=1\nB=$A', {'A': '\\$X', 'X': '1', 'B': '$A'}, {'A': '$X', 'X': '1', 'B': '$X'}),
    ('A=${A}', {'A': '${A}'}, {'A': ''}), ('A=1\nA=${A}2', {'A': '${A}2'}, {'A': '2'}),
    ('A=x\nB=${A:-y:-z}', {'A': 'x', 'B': '${A:-y:-z}'}, {'A': 'x', 'B': 'x'}),
    ('B=${N:-http://h:80/x-y}', {'B': '${N:-http://h:80/x-y}'}, {'B': 'http://h:80/x-y'}),
    ('A=a-b\nB=${A-B}', {'A': 'a-b', 'B': '${A-B}'}, {'A': 'a-b', 'B': 'a-b'}),
    ('A=1\nB=$A-x', {'A': '1', 'B': '$A-x'}, {'A': '1', 'B': '1-x'}),
    ('A=1\nB=${ A }', {'A': '1', 'B': '${ A }'}, {'A': '1', 'B': ''}),
    ('A=$HOME_X/bin', {'A': '$HOME_X/bin'}, {'A': '/bin'}), ('A=${E}', {'A': '${E}'}, {'A': ''}),
    ('E=file\nB=$E', {'E': 'file', 'B': '$E'}, {'E': 'file', 'B': 'file'}),
    ('X=${E:-d}', {'X': '${E:-d}'}, {'X': 'd'}), ('F=${F}:more', {'F': '${F}:more'}, {'F': ':more'}),
    ('K="a\\$b"', {'K': 'a\\$b'}, {'K': 'a$b'}), ('K=a\\\\$b', {'K': 'a\\\\$b'}, {'K': 'a\\$b'}),
    ('A=multi\nB="${A}\nline"', {'A': 'multi', 'B': '${A}\nline'}, {'A': 'multi', 'B': 'multi\nline'}),
    ('A=${B:-${C}}\n', {'A': '${B:-${C}}'}, {'A': ''}),
    ('A={x}\nB=${A}', {'A': '{x}', 'B': '${A}'}, {'A': '{x}', 'B': '{x}'}),
    ('A=x\\$\\$y\nB=$A', {'A': 'x\\$\\$y', 'B': '$A'}, {'A': 'x$$y', 'B': 'x'}),
    ('A=\\$\\$\nB=<$A>', {'A': '\\$\\$', 'B': '<$A>'}, {'A': '$$', 'B': '<$>'}),
    ('PEM="a\\nb"\nQ=$PEM', {'PEM': 'a\nb', 'Q': '$PEM'}, {'PEM': 'a\nb', 'Q': 'a\nb'}),
]  # fmt: skip
# A text and its values once expanded, in a process whose environment is ENVIRONMENT and counts:
ENVIRONMENT = {"E": "outer", "F": "first", "HOME_X": "/home/x"}
OUTER: list[tuple[str, dict[str, str]]] = [
    ('A=-----BEGIN\nB=2', {'A': '-----BEGIN', 'B': '2'}),
    ('A="-----BEGIN\nMII=\n-----END"', {'A': '-----BEGIN\nMII=\n-----END'}), ('B=$NOPE.', {'B': '.'}),
    ('B=${NOPE:-x}', {'B': 'x'}), ('B=${NOPE-x}', {'B': 'x'}), ('B=${NOPE:-${ALSO:-deep}}', {'B': 'deep'}),
    ('A=1\nB=${NOPE:-$A}', {'A': '1', 'B': '1'}), ('A=$HOME_X/bin', {'A': '/home/x/bin'}), ('A=${E}', {'A': 'outer'}),
    ('E=file', {'E': 'outer'}), ('E=file\nB=$E', {'E': 'outer', 'B': 'outer'}), ('E=', {'E': 'outer'}),
    ('X=${E:-d}', {'X': 'outer'}), ('F=${F}:more', {'F': 'first'}),
    ('PEM="a\\nb"\nQ=$PEM', {'PEM': 'a\nb', 'Q': 'a\nb'}),
]  # fmt: skip


def secrets(folder: Path, name: str, text: str, settings: str = "") -> Mapping[str, str]:
    """What a worker whose only secret file is ``name`` finds in ``env``."""
    (folder / "entry.py").touch()
    (folder / "wrangler.toml").write_text('main = "entry.py"\n' + settings)
    (folder / name).write_bytes(text.encode())
    return config.load(folder).secrets


def cases() -> Iterator[tuple[str, dict[str, str], dict[str, str]]]:
    yield from ((text, values, values) for text, values in PLAIN)
    yield from EXPANDED


def test_dev_vars(tmp_path: Path) -> None:
    assert len(list(cases())) > 100
    for text, values, _ in cases():
        assert secrets(tmp_path, ".dev.vars", text) == values, text


def test_dot_env(tmp_path: Path) -> None:
    for text, _, values in cases():
        assert secrets(tmp_path, ".env", text) == values, text


def test_dot_env_with_the_process_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDFLARE_INCLUDE_PROCESS_ENV", "true")
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    for text, values in OUTER:
        assert values.items() <= secrets(tmp_path, ".env", text).items(), text


def test_variables_that_name_each_other_end(tmp_path: Path) -> None:
    """Where dotenv-expand itself goes round for ever."""
    assert secrets(tmp_path, ".env", "A=\\${A}\nB=x${A}") == {"A": "${A}", "B": "x${A}"}


def test_the_last_file_counts_and_sees_the_others(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\nB=$A\n")
    assert secrets(tmp_path, ".env.local", "A=2\nC=$A$B\n") == {"A": "2", "B": "2", "C": "22"}


def test_a_secret_in_the_place_of_a_variable_need_not_be_required(tmp_path: Path) -> None:
    settings = 'vars = { TOKEN = "var" }\nsecrets = { required = ["A"] }'
    assert secrets(tmp_path, ".dev.vars", "A=1\nTOKEN=2\nOTHER=3\n", settings) == {"A": "1", "TOKEN": "2"}


def test_the_switch_that_leaves_dot_env_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDFLARE_LOAD_DEV_VARS_FROM_DOT_ENV", "false")
    assert secrets(tmp_path, ".env", "A=1") == {}
