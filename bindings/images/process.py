"""One ``info`` or ``output`` in a process of its own: ``python -P -B -m bindings.images.process``.

It is there before its request (``bindings.limited.spare``), and limits itself once that comes. With the ``Request``
(JSON) it gets the images and the file for its result as descriptors, and prints a ``Result`` as JSON.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence

import msgspec

from bindings.images.failures import INTERNAL, TOO_LARGE, TOO_MUCH_WORK, ImageFailure
from bindings.images.limits import CPU_S, MAX_IMAGES, MAX_OUTPUT_BYTES, MEMORY_BYTES, WALL_S
from bindings.images.plan import Request, Result
from bindings.limited import child

_WHAT_TAKES_LONG = "bindings.images.operations.run"


def main() -> None:
    output = os.fdopen(os.dup(1), "wb")
    child.silence()
    importlib.import_module(_WHAT_TAKES_LONG)
    request, descriptors = child.receive(MAX_IMAGES + 1)
    child.limit(memory=MEMORY_BYTES, cpu_s=CPU_S, wall_s=WALL_S, file_bytes=MAX_OUTPUT_BYTES)
    result = _result(msgspec.json.decode(request, type=Request), descriptors)
    output.write(msgspec.json.encode(result))
    output.flush()
    os._exit(0)  # nothing of a library's runs any more


def _result(request: Request, descriptors: Sequence[int]) -> Result:
    try:
        return _done(request, descriptors)
    except ImageFailure as failure:
        return Result(failure.code, str(failure))
    except MemoryError:
        return Result(TOO_MUCH_WORK, "the image needs more memory than there may be used for one")
    except OSError as error:
        if error.errno is not None:
            return Result(TOO_LARGE, f"the result cannot be written: {os.strerror(error.errno)}")
        return Result(INTERNAL, f"ERROR: {error}"[:500])  # a decoder's
    except Exception as error:
        return Result(INTERNAL, f"ERROR: {type(error).__name__}: {error}"[:500])


def _done(request: Request, descriptors: Sequence[int]) -> Result:
    from bindings.images.operations import run

    child.seal()
    files = [os.fdopen(number, "rb") for number in _own(descriptors[: request.images])]
    if request.plan.output is None:
        return run.info(files[0])
    with os.fdopen(descriptors[request.images], "wb") as result:
        return run.output(files, request.plan, result)


def _own(numbers: Sequence[int]) -> Sequence[int]:
    return [number for number in numbers if os.lseek(number, 0, os.SEEK_SET) == 0]


if __name__ == "__main__":
    main()
