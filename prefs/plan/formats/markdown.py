"""The plan as GitHub's Markdown; Notion reads the same."""

from __future__ import annotations

import re
from collections.abc import Iterator

from prefs.plan.document import (
    Block,
    Bullets,
    Checks,
    Facts,
    Heading,
    Paragraph,
    Table,
    document,
)
from prefs.plan.formats.inline import parts
from prefs.plan.model import Plan

_SPECIAL = re.compile(r"([\\`*\[\]<>|~$])|(?<!\w)(_)|(_)(?!\w)")
_AT_THE_START = re.compile(r"^(#+|[-+>]|\d+[.)])(?=\s|$)")


def text(plan: Plan) -> str:
    """The plan, with a line break at its end."""
    return "\n\n".join("\n".join(_block(block)) for block in document(plan)) + "\n"


def _block(block: Block) -> Iterator[str]:
    match block:
        case Heading(level, words, status):
            beside = f" ({status})" if status else ""
            yield f"{'#' * level} {_inline(words)}{beside}"
        case Paragraph(words):
            yield _begun(words)
        case Bullets(items):
            yield from (f"- {_begun(item)}" for item in items)
        case Facts(pairs):
            yield from (f"- **{_inline(name)}**: {_inline(words)}" for name, words in pairs)
        case Checks(results):
            for each in results:
                figure = f" *{_inline(each.figure)}*" if each.figure else ""
                yield f"- [{'x' if each.met else ' '}] {_begun(each.text)}{figure}"
        case Table(head, rows):
            yield _row(head)
            yield _row(("---",) * len(head))
            yield from map(_row, rows)


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(map(_inline, cells))} |"


def _begun(words: str) -> str:
    """Text at the beginning of a line, where more characters mean something."""
    return _AT_THE_START.sub(lambda found: f"\\{found[0]}", _inline(words))


def _inline(words: str) -> str:
    return "".join(_code(part) if code else _escaped(part) for part, code in parts(words))


def _code(part: str) -> str:
    # In a table a bar ends the cell, in code too.
    return "`" + part.replace("|", r"\|") + "`"


def _escaped(part: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", part)
