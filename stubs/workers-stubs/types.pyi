from runtime.sdk.workers.types import *
