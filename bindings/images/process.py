"""One ``info`` or ``output`` in a process of its own: ``python -P -B -m bindings.images.process REQUEST``.

It limits itself as ``bindings.limited`` says. It has the images and the file for its result as descriptors, which the
``Request`` (its argument, JSON) names, and prints a ``Result`` as JSON.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import msgspec

from bindings.images.failures import INTERNAL, TOO_LARGE, TOO_MUCH_WORK, ImageFailure
from bindings.images.limits import CPU_S, MAX_OUTPUT_BYTES, MEMORY_BYTES, WALL_S
from bindings.images.plan import Request, Result
from bindings.limited import child


def main() -> None:
    output = os.fdopen(os.dup(1), "wb")
    child.silence()
    child.limit(memory=MEMORY_BYTES, cpu_s=CPU_S, wall_s=WALL_S, file_bytes=MAX_OUTPUT_BYTES)
    result = _result(msgspec.json.decode(sys.argv[1], type=Request))
    output.write(msgspec.json.encode(result))
    output.flush()
    os._exit(0)  # nothing of a library's runs any more


def _result(request: Request) -> Result:
    try:
        return _done(request)
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


def _done(request: Request) -> Result:
    from bindings.images.operations import run

    child.seal()
    files = [os.fdopen(number, "rb") for number in _own(request.images)]
    if request.plan.output is None:
        return run.info(files[0])
    with os.fdopen(request.result, "wb") as result:
        return run.output(files, request.plan, result)


def _own(numbers: Sequence[int]) -> Sequence[int]:
    return [number for number in numbers if os.lseek(number, 0, os.SEEK_SET) == 0]


if __name__ == "__main__":
    main()
