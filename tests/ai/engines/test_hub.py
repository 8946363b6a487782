"""A model that is not on disk with no network: said at once, and how to mend it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bindings.ai.engines import hub
from runtime.errors import UserError


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for name in ("TRANSFORMERS_OFFLINE", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


def test_a_model_that_is_nowhere() -> None:
    pytest.importorskip("huggingface_hub")
    with pytest.raises(UserError, match="hub cannot be reached") as caught:
        hub.check_available("nobody/nothing")
    assert "pilot pull nobody/nothing" in caught.value.remedy


def test_a_folder_needs_no_network(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({}))
    hub.check_available(str(tmp_path))


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.json is missing"):
        hub.check_available(str(tmp_path))


def test_a_path_that_does_not_exist() -> None:
    with pytest.raises(UserError, match="no file or folder /nowhere/model"):
        hub.check_available("/nowhere/model")
