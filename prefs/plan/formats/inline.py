"""Text inside a block: what stands between backquotes is code."""

from __future__ import annotations

from collections.abc import Iterator


def one_line(text: str) -> str:
    """On one line, without what would move a cursor: people and servers may say anything."""
    flat = " ".join(text.split())
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in flat)


def parts(text: str) -> Iterator[tuple[str, bool]]:
    """Its parts, each with whether it is code; a backquote without another is one."""
    pieces = one_line(text).split("`")
    if len(pieces) % 2 == 0:
        pieces[-2:] = [f"{pieces[-2]}`{pieces[-1]}"]
    for number, piece in enumerate(pieces):
        if piece:
            yield piece, number % 2 == 1
