"""Mail: what a worker sends is kept, and what comes in goes to its ``email`` handler."""

MODULE = "js.cloudflare:email"  # for every worker: what ``import_from_javascript`` finds, and what a message calls
