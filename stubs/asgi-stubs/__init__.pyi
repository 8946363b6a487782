"""For type checkers: ``runtime/sdk/asgi`` by the name that a worker has for it."""

from runtime.sdk.asgi import *
