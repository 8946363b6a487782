"""What the cases of the worker that calls have in common."""

from pyodide.ffi import JsException

NO_RECEIVER = (
    "Proxy could not be serialized because it is not a valid RPC receiver type. The Proxy must emulate either a plain "
    "object or an RpcTarget, as indicated by the Proxy's prototype chain."
)
DISPOSED = ("Error", "RPC stub used after being disposed.")


async def refused(call, remote=True):
    """(name, message) of what a call raises."""
    try:
        found = await call
    except JsException as error:
        caught = error
    else:
        raise AssertionError(f"it was not refused: {found!r}")
    assert getattr(caught, "remote", False) is remote, caught
    assert str(caught) == f"{caught.name}: {caught.message}"
    return caught.name, caught.message


async def fails(call, kind, text):
    """Before anything is sent."""
    try:
        await call
    except kind as error:
        found = str(error)
    else:
        raise AssertionError("it was not refused")
    assert text in found
