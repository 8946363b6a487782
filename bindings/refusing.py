"""``env.NAME`` of what is not served here, as the worker sees it."""

from __future__ import annotations

from typing import NoReturn

from runtime.values import JsException


class Refusing:
    """Whatever it is asked for, it says what it is not."""

    def __init__(self, name: str, caller: object, text: str) -> None:
        self.__dict__["_text"] = text

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # what copy, pickle and others look for
            raise AttributeError(name)
        raise JsException(self.__dict__["_text"])

    def __repr__(self) -> str:
        return f"<{self.__dict__['_text']}>"


__all__ = ["Refusing"]
