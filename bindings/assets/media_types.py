"""An asset's content type, by its extension alone.

What a site is made of stands here, as upstream has it (npm's ``mime``); the rest is what Python knows. Not what the
machine does: ``/etc/mime.types`` differs from one to the next.
"""

from __future__ import annotations

from functools import cache
from mimetypes import MimeTypes

_EXTENSIONS = {
    "application/atom+xml": "atom",
    "application/epub+zip": "epub",
    "application/geo+json": "geojson",
    "application/gzip": "gz",
    "application/java-archive": "jar",
    "application/json": "json map",
    "application/json5": "json5",
    "application/ld+json": "jsonld",
    "application/manifest+json": "webmanifest",
    "application/node": "cjs",
    "application/octet-stream": "bin deb dmg iso img pkg",
    "application/pdf": "pdf",
    "application/rdf+xml": "rdf",
    "application/rss+xml": "rss",
    "application/rtf": "rtf",
    "application/sql": "sql",
    "application/toml": "toml",
    "application/vnd.ms-fontobject": "eot",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/wasm": "wasm",
    "application/x-7z-compressed": "7z",
    "application/x-bzip2": "bz2",
    "application/x-ipynb+json": "ipynb",
    "application/vnd.rar": "rar",
    "application/x-tar": "tar",
    "application/x-xz": "xz",
    "application/xhtml+xml": "xhtml xht",
    "application/xml": "xml xsl xsd rng",
    "application/xml-dtd": "dtd",
    "application/zip": "zip",
    "audio/aac": "aac",
    "audio/midi": "mid midi",
    "audio/mp4": "m4a m4b",
    "audio/mpeg": "mp3 mpga",
    "audio/ogg": "ogg oga opus spx",
    "audio/wav": "wav",
    "audio/webm": "weba",
    "audio/x-flac": "flac",
    "audio/x-mpegurl": "m3u",
    "application/vnd.apple.mpegurl": "m3u8",
    "font/collection": "ttc",
    "font/otf": "otf",
    "font/ttf": "ttf",
    "font/woff": "woff",
    "font/woff2": "woff2",
    "image/apng": "apng",
    "image/avif": "avif",
    "image/bmp": "bmp",
    "image/gif": "gif",
    "image/heic": "heic",
    "image/jp2": "jp2",
    "image/jpeg": "jpg jpeg jpe",
    "image/jxl": "jxl",
    "image/png": "png",
    "image/svg+xml": "svg svgz",
    "image/tiff": "tif tiff",
    "image/vnd.microsoft.icon": "ico",
    "image/webp": "webp",
    "model/gltf+json": "gltf",
    "model/gltf-binary": "glb",
    "model/obj": "obj",
    "model/stl": "stl",
    "text/calendar": "ics",
    "text/css": "css",
    "text/csv": "csv",
    "text/html": "html htm shtml",
    "text/javascript": "js mjs",
    "text/jsx": "jsx",
    "text/less": "less",
    "text/markdown": "md markdown",
    "text/mdx": "mdx",
    "text/plain": "txt text log conf ini def list in",
    "text/tab-separated-values": "tsv",
    "text/vcard": "vcard",
    "text/vtt": "vtt",
    "text/wgsl": "wgsl",
    "text/x-sass": "sass",
    "text/x-scss": "scss",
    "text/yaml": "yaml yml",
    "video/mp2t": "ts mts m2ts",
    "video/mp4": "mp4 mp4v",
    "video/mpeg": "mpeg mpg",
    "video/ogg": "ogv",
    "video/quicktime": "mov qt",
    "video/webm": "webm",
    "video/x-m4v": "m4v",
    "video/x-matroska": "mkv",
    "video/x-msvideo": "avi",
}
_TYPES = {extension: kind for kind, extensions in _EXTENSIONS.items() for extension in extensions.split()}


def media_type(path: str) -> str | None:
    """``text/html; charset=utf-8`` of ``/a/b.html``; None where nobody knows."""
    name = path.rpartition("/")[2]
    _, dot, extension = name.rpartition(".")
    return _of(extension.lower()) if dot else None


@cache
def _known() -> dict[str, str]:
    standard, common = (MimeTypes(()).types_map[strict] for strict in (True, False))
    return {**common, **standard}


def _of(extension: str) -> str | None:
    kind = _TYPES.get(extension) or _known().get(f".{extension}")
    return f"{kind}; charset=utf-8" if kind is not None and kind.startswith("text/") else kind


__all__ = ["media_type"]
