"""The files toMarkdown takes: ending → (MIME type, the converter of ``markitdown.converters`` that reads it)."""

from __future__ import annotations

_OFFICE = "application/vnd.openxmlformats-officedocument"

FORMATS: dict[str, tuple[str, str]] = {
    ".pdf": ("application/pdf", "PdfConverter"),
    ".html": ("text/html", "HtmlConverter"),
    ".htm": ("text/html", "HtmlConverter"),
    ".docx": (f"{_OFFICE}.wordprocessingml.document", "DocxConverter"),
    ".pptx": (f"{_OFFICE}.presentationml.presentation", "PptxConverter"),
    ".xlsx": (f"{_OFFICE}.spreadsheetml.sheet", "XlsxConverter"),
    ".xlsm": ("application/vnd.ms-excel.sheet.macroenabled.12", "XlsxConverter"),
    ".xls": ("application/vnd.ms-excel", "XlsConverter"),
    ".csv": ("text/csv", "CsvConverter"),
    ".epub": ("application/epub+zip", "EpubConverter"),
    ".ipynb": ("application/x-ipynb+json", "IpynbConverter"),
    ".xml": ("application/xml", "PlainTextConverter"),
    ".json": ("application/json", "PlainTextConverter"),
    ".md": ("text/markdown", "PlainTextConverter"),
    ".txt": ("text/plain", "PlainTextConverter"),
}

_BY_TYPE = {kind: ending for ending, (kind, _) in reversed(FORMATS.items())}


def ending_of(name: str, kind: str) -> str | None:
    """The ending that says how to read a file: its name's if it is known, else that of its MIME type."""
    ending = "." + name.rpartition(".")[2].lower()
    return ending if ending in FORMATS else _BY_TYPE.get(kind.partition(";")[0].strip().lower())


__all__ = ["FORMATS", "ending_of"]
