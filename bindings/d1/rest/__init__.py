"""D1 over Cloudflare's REST API, as wrangler and the cloudflare clients use it."""
