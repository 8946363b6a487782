"""HTMLRewriter: a page is changed while it passes. https://developers.cloudflare.com/workers/runtime-apis/html-rewriter/

Reading order: ``tokens``, ``selectors``, ``nodes``, ``rewriter``.
"""
