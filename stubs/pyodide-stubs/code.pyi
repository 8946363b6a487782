from runtime.sdk.pyodide.code import *
