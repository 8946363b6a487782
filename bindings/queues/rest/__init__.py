"""Cloudflare's REST API of queues."""
