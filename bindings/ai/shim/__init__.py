"""A worker that gives JavaScript workers under ``wrangler dev`` their ``env.AI`` from this machine.

Wranglers from 4.45 on let ``env.AI`` speak to Cloudflare alone; a service may still be bound in its place.
"""
