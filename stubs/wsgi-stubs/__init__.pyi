"""For type checkers: ``runtime/sdk/wsgi`` by the name that a worker has for it."""

from runtime.sdk.wsgi import *
