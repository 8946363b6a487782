"""What Workers AI adds to the command line of ``pilot``: values for ``ProductContext.options``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

OPTIONS: Mapping[str, Sequence[click.Option]] = {
    "dev": [
        click.Option(
            ["--engine"], help="vllm, llamacpp, openai or echo. Default: the best that works here, or OPENAI_BASE_URL."
        )
    ],
    "host": [
        click.Option(["--engine"], help="vllm, llamacpp, openai or echo. Default: the best that works here."),
        click.Option(
            ["--models"], type=click.IntRange(1, 1000), help="Loaded at a time; the one not used for longest goes."
        ),
        click.Option(
            ["--ray"], metavar="ADDRESS", help="Run replicas on this Ray cluster: auto, HEAD:6379, ray://HEAD:10001."
        ),
    ],
    "bench": [click.Option(["--engine"], help="Run every model on this engine.")],
}
