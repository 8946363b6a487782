"""Every error of Workers AI that is raised here: its code, HTTP status, name and text, and when it comes.

Engines, the model layer and the layer in front of it take their errors from this table; docs/workers-ai.md shows it.
"""

from __future__ import annotations

from runtime.api.error_code import ErrorCode

# The model layer

MISSING_PART = ErrorCode(
    3003, 400, "AiError", "Request is missing headers or body: {part}", "no body, or not the header that a route needs"
)
TOO_LARGE = ErrorCode(3006, 413, "AiError", "Request is too large", "a body or a file above its limit")
TIMEOUT = ErrorCode(
    3007, 408, "AiError", "Request timeout: no answer within {milliseconds} ms",
    "`requestTimeoutMs` or `load_timeout` is over, or another server is silent",
)  # fmt: skip
TEXT_TOO_LONG = ErrorCode(
    3030, 400, "AiError", "Max context reached {tokens} tokens but model supports only {limit}",
    "a text longer than its model reads, which may not be cut",
)  # fmt: skip
FINETUNE_INCOMPLETE = ErrorCode(
    3039, 400, "AiError", "Finetune is missing required files ({files})", "`lora` names a fine-tune that lacks a file"
)
CAPACITY = ErrorCode(
    3040, 429, "AiError", "Capacity temporarily exceeded, please try again.",
    "a queue is full, or the model stopped and is being restarted",
)  # fmt: skip
NO_SUCH_FINETUNE = ErrorCode(
    3042, 404, "AiError", "there is no finetune '{id}'", "a fine-tune that the routes of fine-tunes do not find"
)
INTERNAL = ErrorCode(
    3043, 500, "AiError", "Internal server error",
    "the model cannot be loaded, an engine or another server fails, a disk is full, or a fault in Pilotlight",
)  # fmt: skip
NOT_BASE64 = ErrorCode(
    5004, 400, "AiError", "Invalid data type for base64 input: `string`", "an image or a recording that is not base64"
)
NO_LORA = ErrorCode(
    5005, 405, "AiError", "The model {model} does not support LoRa inference",
    "`lora`, or a fine-tune, for a model or an engine without adapters",
)  # fmt: skip
BAD_INPUT = ErrorCode(5006, 400, "Bad input", "Error: {detail}", "a field that is missing, wrong or not served")
NO_SUCH_MODEL = ErrorCode(
    5007, 400, "No such model", "No such model {model} or task",
    "an unknown model, or one whose engine cannot do the task or is not configured",
)  # fmt: skip
OLD_SDK = ErrorCode(
    5019, 405, "AiError", "The version {version} of the SDK is deprecated", "another version of `…/ai/run/proxy`"
)
CONTEXT_EXCEEDED = ErrorCode(
    5021, 413, "Ai",
    "The estimated number of {what} ({tokens}) exceeded this model context window limit ({limit}).",
    "the prompt and `max_tokens` do not fit; said before inference",
)  # fmt: skip
JSON_UNMET = ErrorCode(
    5024,
    400,
    "AiError",
    "JSON Mode couldn't be met",
    "an answer breaks its JSON Schema, or no grammar can be made of it",
)
RETIRED = ErrorCode(
    5028, 410, "Model has been deprecated", "{model} was deprecated on {date}. See the model catalog for alternatives",
    "a row of `models.yaml` says `retired: true`",
)  # fmt: skip
ENGINE_REFUSED = ErrorCode(8007, 400, "AiError", "{text}", "the engine or another server refuses, in its own words")

# AI Gateway

RATE_LIMITED = ErrorCode(2003, 429, "InferenceUpstreamError", "Rate limited", "the gateway's rate limit is reached")
NO_SUCH_PROVIDER = ErrorCode(
    2008, 400, "InferenceUpstreamError", "Invalid provider: only {providers} are served here", "a step names another"
)

# In front of the model layer: credentials and routes

INVALID_HEADERS = ErrorCode(6003, 400, "", "Invalid request headers", "an `Authorization` that cannot be read")
INVALID_AUTHORIZATION = ErrorCode(
    6111, 400, "", "Invalid format for Authorization header", "in the `error_chain` of 6003"
)
NO_ROUTE = ErrorCode(7000, 404, "", "No route for that URI", "beside 7003")
NOT_FOUND = ErrorCode(7002, 404, "", "Gateway {gateway} has no log {log}", "an unknown log of a gateway")
UNROUTABLE = ErrorCode(
    7003, 404, "", "Could not route to {path}, perhaps your object identifier is invalid?", "a path that nothing serves"
)
NO_CREDENTIALS = ErrorCode(
    9106, 400, "", "Missing X-Auth-Key, X-Auth-Email or Authorization headers", "a route that asks for a key gets none"
)
WRONG_TOKEN = ErrorCode(10000, 401, "", "Authentication error", "a key that is not one of the configured")
WRONG_METHOD = ErrorCode(
    10405, 405, "", "Method {method} not allowed, use {allowed}", "another method than the route's, which `allow` names"
)

TABLE = {row.code: row for row in list(globals().values()) if isinstance(row, ErrorCode)}
