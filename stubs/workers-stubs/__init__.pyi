"""For type checkers: ``runtime/sdk/workers`` by the name that a worker has for it."""

from runtime.sdk.workers import *
from runtime.sdk.workers.types import *
