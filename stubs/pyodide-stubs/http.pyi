from runtime.sdk.pyodide.http import *
