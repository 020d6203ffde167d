"""The plan for a terminal: lines of a given width, whatever the texts are."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest

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
from prefs.plan.formats.inline import one_line
from prefs.plan.model import Plan

WIDTH = 100
_NARROWEST = 8
_UNDER = {1: "=", 2: "-"}


def text(plan: Plan) -> str:
    """The plan for a file, with a line break at its end."""
    return "\n".join(lines(plan)) + "\n"


def lines(plan: Plan, width: int = WIDTH) -> list[str]:
    """The plan in lines of at most so many characters."""
    found: list[str] = []
    for block in document(plan):
        if found:
            found.append("")
        if isinstance(block, Heading) and block.level == 2:
            found.append("")
        found += _block(block, width)
    return found


def _block(block: Block, width: int) -> Iterator[str]:
    match block:
        case Heading():
            yield from _heading(block, width)
        case Paragraph(text):
            yield from _wrapped(text, width)
        case Bullets(items):
            for item in items:
                yield from _wrapped(item, width, first="  - ")
        case Facts():
            yield from _facts(block, width)
        case Checks():
            yield from _checks(block, width)
        case Table(head, rows):
            yield from _table([head, *rows], width)


def _heading(heading: Heading, width: int) -> Iterator[str]:
    status = f"  [{heading.status}]" if heading.status else ""
    found = list(_wrapped(heading.text + status, width))
    yield from found
    if under := _UNDER.get(heading.level):
        yield under * max(map(len, found))


def _facts(facts: Facts, width: int) -> Iterator[str]:
    size = max((len(name) for name, _ in facts.pairs), default=0)
    for name, text in facts.pairs:
        yield from _wrapped(text, width, first=f"  {name:<{size}}  ")


def _checks(checks: Checks, width: int) -> Iterator[str]:
    for each in checks.results:
        yield from _wrapped(each.text, width, first=f"  [{'x' if each.met else ' '}] ")
        yield from _wrapped(each.figure, width, first="      = ")


def _wrapped(text: str, width: int, first: str = "") -> Iterator[str]:
    """A text in lines, the later ones below where the first begins."""
    indent = " " * len(first)
    yield from textwrap.wrap(
        one_line(text),
        width,
        initial_indent=first,
        subsequent_indent=indent,
        break_on_hyphens=False,
    ) or [first.rstrip()]


def _table(rows: Sequence[tuple[str, ...]], width: int) -> Iterator[str]:
    """Columns beside each other; the widest give way, and their cells take more lines."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    sizes = [max(map(len, column)) for column in zip(*cells, strict=True)]
    gaps = 2 * len(sizes)
    while sum(sizes) + gaps > width and max(sizes) > _NARROWEST:
        sizes[sizes.index(max(sizes))] -= 1
    for number, row in enumerate(cells):
        wrapped = [
            textwrap.wrap(cell, size, break_on_hyphens=False)
            for cell, size in zip(row, sizes, strict=True)
        ]
        for line in zip_longest(*wrapped, fillvalue=""):
            padded = "".join(f"  {cell:<{s}}" for cell, s in zip(line, sizes, strict=True))
            yield padded.rstrip()
        if number == 0:
            yield "".join(f"  {'-' * size}" for size in sizes)
