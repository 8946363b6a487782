"""What becomes of Wrangler's keys that are no product's: a line for each, for warnings and for ``pilot check``."""

from __future__ import annotations

_JAVASCRIPT = "for JavaScript: nothing is built or bundled here"
_ONE_PLACE = "there is one place, this machine"

SERVED: dict[str, str] = {
    "compatibility_date": "what upstream decides by it and is served here",
    "compatibility_flags": "those that decide of what is served here",
    "dev": "ip and port; its other fields change nothing",
    "env": "environments, by Wrangler's rules of inheritance",
    "limits": "on a host, which may have lower ones",
    "main": "the entry script, which must be Python",
    "name": "the worker's name",
    "pilot": "Pilotlight's own settings",
    "route": "a custom_domain, on a host; of other routes nothing comes",
    "routes": "each custom_domain, on a host; of other routes nothing comes",
    "secrets": "required: which variables are secrets",
}

IDLE: dict[str, str] = {
    "$schema": "for editors",
    "account_id": "there are no accounts here",
    "alias": _JAVASCRIPT,
    "base_dir": "all below the entry's folder is the worker's",
    "compliance_region": _ONE_PLACE,
    "define": _JAVASCRIPT,
    "dependencies_instrumentation": "for JavaScript's packages",
    "find_additional_modules": "all below the entry's folder is the worker's",
    "first_party_worker": "for Cloudflare itself",
    "jsx_factory": _JAVASCRIPT,
    "jsx_fragment": _JAVASCRIPT,
    "keep_names": _JAVASCRIPT,
    "keep_vars": "variables are those of the file",
    "legacy_env": "environments are workers of their own",
    "minify": _JAVASCRIPT,
    "no_bundle": _JAVASCRIPT,
    "observability": "metrics, traces and pilot tail are always there",
    "placement": _ONE_PLACE,
    "preserve_file_names": "files keep their names",
    "preview_urls": "a host has no addresses for previews",
    "previews": "there are no previews here",
    "python_modules": "of python_modules/ everything is sent",
    "rules": "a file is a file: Python imports .py and reads the others",
    "send_metrics": "nothing is told to anybody",
    "tsconfig": _JAVASCRIPT,
    "upload_source_maps": _JAVASCRIPT,
    "workers_dev": "a host serves every worker below /_w/",
}

NOT_SERVED: dict[str, str] = {  # whose effect a person would miss, so that it is warned of where it is used
    "access": "Cloudflare Access does not stand before the worker here: nobody is asked who they are",
    "addresses": "no mail is taken in here for these addresses: hand it in by /cdn-cgi/local/email",
    "build": "the build command is not run here; run it yourself",
    "cloudchamber": "containers are not run here: start them yourself, and fetch their address",
    "connect": "raw sockets are not listened on here: serve HTTP or WebSockets",
    "containers": "containers are not run here: start them yourself, and fetch their address",
    "data_blobs": "data blobs are not available here",
    "logfwdr": "logs are not forwarded here: pilot tail and [[tail_consumers]] have them",
    "logpush": "logs are not pushed here: pilot tail and [[tail_consumers]] have them",
    "pages_build_output_dir": "Pages projects are not served here: name the folder in [assets] directory",
    "site": "Workers Sites are not served here",
    "streaming_tail_consumers": "tails are told at the end of an event here, by [[tail_consumers]]",
    "text_blobs": "text blobs are not available here",
    "wasm_modules": "Wasm modules are not available here",
}

__all__ = ["IDLE", "NOT_SERVED", "SERVED"]
