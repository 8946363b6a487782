"""The host speaks Cloudflare's own deploy API: the unmodified ``wrangler`` deploys to it, and so does ``pilot``.

Reading order: ``base`` (envelope, credentials, audit) → ``scripts`` (upload, versions, deployments) → ``secrets`` →
``account`` (what wrangler asks besides).
"""
