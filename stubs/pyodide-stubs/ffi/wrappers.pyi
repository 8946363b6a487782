from runtime.sdk.pyodide.ffi.wrappers import *
