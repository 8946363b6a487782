"""What type checkers are told of ``env.NAME`` of Analytics Engine: ``binding.py`` does it."""

from collections.abc import Sequence
from typing import TypedDict

class AnalyticsEngineDataPoint(TypedDict, total=False):
    blobs: Sequence[str | bytes | None]
    doubles: Sequence[float]
    indexes: Sequence[str | bytes | None]

class AnalyticsEngineDataset:
    def writeDataPoint(
        self,
        event: AnalyticsEngineDataPoint = ...,
        *,
        blobs: Sequence[str | bytes | None] = ...,
        doubles: Sequence[float] = ...,
        indexes: Sequence[str | bytes | None] = ...,
    ) -> None: ...
