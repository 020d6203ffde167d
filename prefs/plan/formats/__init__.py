"""The plan as text for a terminal, as Markdown, as HTML, and as JSON."""

from collections.abc import Callable

from prefs.plan.formats import html, markdown, text
from prefs.plan.model import Plan

# By what the name of a file ends in.
FORMATS: dict[str, Callable[[Plan], str]] = {
    ".txt": text.text,
    ".md": markdown.text,
    ".html": html.page,
}
