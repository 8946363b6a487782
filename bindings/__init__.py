"""The products a worker's ``env`` can hold, by the wrangler key that asks for them. The only registry."""

PRODUCTS: dict[str, str] = {
    "vars": "bindings.plain:Plain",
    "ai": "bindings.ai.product:AI",
}
