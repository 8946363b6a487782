"""``pilot check``: what of a worker is served here, and what would not be so on Cloudflare."""
