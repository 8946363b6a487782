"""Tab, pressed in each shell that ``pilot completion`` knows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from shells import shell
from terminals import typed

# How each is begun without anybody's settings, and told of the completion as its help says.
SHELLS = {
    "bash": ("exec bash --norc --noprofile -i\n", 'eval "$(pilot completion bash)"\n'),
    "zsh": ("exec zsh -f -i\n", 'autoload -Uz compinit && compinit -u && eval "$(pilot completion zsh)"\n'),
    "fish": ("exec fish --no-config -i\n", "pilot completion fish | source\n"),
}


@pytest.mark.parametrize("name", SHELLS)
def test_tab_completes_commands_and_options(tmp_path: Path, name: str) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"needs {name}")
    begin, tell = SHELLS[name]
    with shell(tmp_path, HOME=str(tmp_path), PS1="$ ", HISTFILE="") as sitting:
        sitting.press(begin)
        sitting.type(tell + "echo rea''dy", "ready\n")
        since = len(sitting.shown)
        sitting.press("pilot compl\t")
        sitting.until("completion", since=since)
        sitting.press("z\t")
        sitting.until("zsh", since=since)
        sitting.press("\x15pilot deploy --dry\t")  # Ctrl-U: a line of its own
        sitting.until("--dry-run", since=since)


def test_the_shell_is_the_one_in_use(tmp_path: Path) -> None:
    assert typed(tmp_path, "completion", SHELL="/bin/zsh").startswith("#compdef pilot")
    told = typed(tmp_path, "completion", SHELL="/bin/tcsh", code=3)
    assert "SHELL=tcsh" in told
    assert "pilot completion bash" in told
