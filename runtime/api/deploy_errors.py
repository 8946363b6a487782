"""Every error of the deploy API: its code, HTTP status, text, and when it comes.

Wrangler goes by the first four codes; the others are this host's. docs/reference/deploy-api.md#errors shows the table.
"""

from __future__ import annotations

from runtime.api.error_code import ErrorCode

NO_SERVICE = ErrorCode(
    10090, 404, "", "This Worker does not exist on this host.", "`services/{name}`: there is no such worker"
)
NO_SCRIPT = ErrorCode(
    10007, 404, "", "This Worker does not exist on this host.",
    "anything else of a worker, a version or a path that does not exist; another code ends the deploy",
)  # fmt: skip
INVALID_SCRIPT = ErrorCode(
    10021, 400, "", "{text}",
    "the upload is refused (with 413 where it is too large), or the script does not start: the message is printed as "
    "it is, so it has the traceback",
)  # fmt: skip
NOT_ALLOWED = ErrorCode(10000, 403, "", "Authentication error", "a wrong token, or one without the scope")

NO_TOKEN = ErrorCode(9106, 400, "", "Missing X-Auth-Key, X-Auth-Email or Authorization headers", "no token is sent")
INVALID_NAME = ErrorCode(
    10016, 400, "", "{name!r} is not a worker's name: lower-case letters, digits, - and _ alone", "a worker's name"
)
INVALID_BODY = ErrorCode(10026, 400, "", "{text}", "a body that is no JSON, or lacks what it needs")
NO_SECRET = ErrorCode(10056, 404, "", "there is no secret {name!r}", "a secret that is to be deleted")
INVALID_DEPLOYMENT = ErrorCode(10208, 400, "", "{text}", "a deployment whose versions or shares cannot be")
TOO_MANY_FAILURES = ErrorCode(
    10429, 429, "", "Too many wrong tokens; wait a minute", "wrong tokens from one address, again and again"
)
FAULT = ErrorCode(10500, 500, "", "Something went wrong on the host; its log says more", "a fault in Pilotlight")
TRY_AGAIN = ErrorCode(
    10500, 503, "", "{what}. Nothing was changed; try again",
    "a new isolate ended while it was opened, or another process holds the host's data",
)  # fmt: skip
CANNOT_WRITE = ErrorCode(
    10500, 507, "", "The host cannot write its data: {error}. Nothing was changed", "the host's disk is full or broken"
)

TABLE = [row for row in list(globals().values()) if isinstance(row, ErrorCode)]
