from runtime.isolate.suspending import can_run_sync as can_run_sync
from runtime.isolate.suspending import run_sync as run_sync
from runtime.sdk.pyodide.ffi import *
