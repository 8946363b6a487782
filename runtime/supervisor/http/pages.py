"""The page a person's browser shows while their worker is broken; it heals itself on the next good save."""

from __future__ import annotations

from runtime.errors import ScriptError, UserError

ERROR_HEADER = "x-pilot-error"
"""Header of every error page's response, value ``1``: while the page's script sees it, nothing is mended."""

PROBE_HEADER = "x-pilot-probe"
"""Header of the page's own questions, value: the version it was shown for. The supervisor answers these
itself (an empty response, with ``ERROR_HEADER`` while that version is the newest), so that asking runs no code
and leaves no line in the terminal."""

STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --soft: #656d76; --paper: #ffffff; --sheet: #f6f8fa;
        --line: #d8dee4; --red: #c62828; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --soft: #8d96a0; --paper: #0d1117; --sheet: #161b22; --line: #30363d;
          --red: #ff7b72; }
}
* { box-sizing: border-box; }
body { margin: 0; border-top: 4px solid var(--red); background: var(--paper); color: var(--ink);
       font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 3rem 1.5rem; }
h1 { font-size: 1rem; font-weight: 600; margin: 0 0 .5rem; color: var(--red); }
p.what { font-size: 1.4rem; line-height: 1.35; margin: 0 0 .5rem; overflow-wrap: anywhere;
         white-space: pre-line; }
p.where { margin: 0 0 1.25rem; color: var(--soft); overflow-wrap: anywhere; }
code, pre { font: .875rem/1.6 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
pre { margin: 0 0 1.25rem; padding: 1rem 1.25rem; overflow-x: auto; background: var(--sheet);
      border: 1px solid var(--line); border-radius: 8px; tab-size: 4; }
pre.remedy { border-left: 3px solid #2da44e; }
footer { display: flex; flex-wrap: wrap; gap: .25rem 2rem; color: var(--soft); font-size: .875rem; }
"""

SCRIPT = """
(() => {
  const headers = { "x-pilot-probe": document.body.dataset.version };
  const ask = () => fetch(location.href, { method: "HEAD", headers, cache: "no-store", redirect: "manual" });
  const again = async () => {
    try {
      if (!document.hidden && !(await ask()).headers.has("x-pilot-error")) return location.reload();
    } catch { /* the server is away: ask again */ }
    setTimeout(again, 1000);
  };
  setTimeout(again, 1000);
})();
"""


def error_page(title: str, err: UserError | str, trace: str = "", request_id: str = "", *, version: int = 0) -> bytes:
    """A self-contained HTML page: what went wrong, where, what to type, and the script's traceback.

    ``version`` is the newest the supervisor has tried to open; the page asks with it (``PROBE_HEADER``).
    """
    from html import escape  # whose table of entities is large, and of use to an error alone

    what, where, remedy = _parts(err)
    trace = trace or (err.trace if isinstance(err, ScriptError) else "")
    heals = isinstance(err, UserError)
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="what">{escape(what)}</p>',
        f'<p class="where"><code>{escape(where)}</code></p>' if where else "",
        f'<pre class="remedy">{escape(remedy)}</pre>' if remedy else "",
        f"<pre>{escape(trace.rstrip())}</pre>" if trace else "",
        "<footer>",
        "<span>This page reloads once that is mended.</span>" if heals else "",
        f"<span>Request {escape(request_id)}</span>" if request_id else "",
        "</footer>",
    ]
    page = _PAGE.format(
        title=escape(title),
        style=STYLE,
        version=version,
        body="\n".join(filter(None, body)),
        script=f"<script>{SCRIPT}</script>" if heals else "",
    )
    return page.encode(errors="backslashreplace")


def error_text(title: str, err: UserError | str, trace: str = "", request_id: str = "") -> bytes:
    """The same for curl and for programs."""
    trace = trace or (err.trace if isinstance(err, ScriptError) else "")
    parts = [f"{title}\n{err}", trace.rstrip(), f"Request {request_id}" if request_id else ""]
    return ("\n\n".join(filter(None, parts)) + "\n").encode(errors="backslashreplace")


def wants_html(accept: str) -> bool:
    """Whether a request's ``Accept`` header asks for HTML by name, as browsers do and ``*/*`` does not."""
    for choice in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in choice.split(";"))
        if kind in ("text/html", "application/xhtml+xml"):
            return not any(_is_zero(parameter) for parameter in parameters)
    return False


def _is_zero(parameter: str) -> bool:
    """``q=0``, ``q=0.0``: not acceptable (RFC 9110 §12.4.2)."""
    name, _, weight = parameter.partition("=")
    return name == "q" and weight.replace(".", "", 1).strip("0") == "" and "0" in weight


def _parts(err: UserError | str) -> tuple[str, str, str]:
    return (err.what, err.where, err.remedy) if isinstance(err, UserError) else (err, "", "")


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body data-version="{version}">
<main>
{body}
</main>
{script}
</body>
</html>
"""
