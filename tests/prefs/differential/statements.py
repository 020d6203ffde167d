"""How many statements an operation sends more than with a plain column, of which kinds, and why.

What is recorded stands in `statements.txt`, a line for an operation. After a change that is meant
to send others, PREFS_RECORD_STATEMENTS=1 in the environment of this test writes it anew.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from tests.support.stores import Place

_FILE = Path(__file__).with_suffix(".txt")
RECORDING = "PREFS_RECORD_STATEMENTS" in os.environ

# Kind: the statement, and why it is sent where the plain column needs none.
KINDS: dict[str, tuple[str, str]] = {
    "lock": (
        r'SELECT u\."\w+", \(SELECT w\.active',
        "the stores that are written are those of the route, read with the users' row locks",
    ),
    "document": (
        r'SELECT \* FROM "\w+"\."prefs_change_',
        "the change of the documents, in the stores of the route",
    ),
    "rows": (
        r"SELECT .* FOR NO KEY UPDATE",
        "the users whose documents change are found and locked first, in key order (rule 7)",
    ),
    "read": (
        r'SELECT \* FROM "\w+"\."prefs_read(_one)?"',
        "a document by itself: compared after a rollback (rule 6), or to say why it is not read",
    ),
    "value": (
        r"SELECT .*_prefs_text",
        "an expression is evaluated to a document under the lock, then stored like any",
    ),
    "other": (
        r"",
        "of Django's own: an UPDATE less where only the document changed; a SELECT more where rows"
        " are found by documents, then locked and asked again (rule 7), or after raw() (rule 11)",
    ),
}
_EVERYWHERE = "everywhere"
_CONTROL = ("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT", "ROLLBACK")
# Other tables that only the site's own users are referred from.
_ELSEWHERE = re.compile(r'"(django_admin_log|waffle_flag_users)"')


def counted(statements: Iterable[str | None]) -> Counter[str]:
    """How many there are of each kind, but for the ends of transactions and savepoints."""
    found: Counter[str] = Counter()
    for statement in statements:
        # One whose parameters could not be adapted has no text.
        text = statement or ""
        if not text.startswith(_CONTROL) and not _ELSEWHERE.search(text):
            found[kind(text)] += 1
    return found


def kind(statement: str) -> str:
    """The first kind that it is of."""
    return next(
        name for name, (pattern, _) in KINDS.items() if re.match(pattern, statement, re.DOTALL)
    )


def more(plain: Counter[str], ours: Counter[str]) -> str:
    """How many more of each kind there are: "lock 1, other -1"."""
    return ", ".join(
        f"{name} {ours[name] - plain[name]}" for name in KINDS if ours[name] != plain[name]
    )


def recorded(operation: str, place: Place | None) -> str:
    """What is recorded for an operation in a place; nothing where it is as many of each kind."""
    assert place is not None
    return _table().get(operation, {}).get(place.name, "")


def record(operation: str, place: Place | None, found: str) -> None:
    """Write the table anew with what was found in a place."""
    assert place is not None
    table = _table()
    table[operation][place.name] = found
    written = []
    for name, by_place in sorted(table.items()):
        groups: dict[str, list[str]] = defaultdict(list)
        for each in Place:
            groups[by_place.get(each.name, "")].append(each.name)
        if set(groups) != {""}:
            parts = (
                f"{_EVERYWHERE if len(groups) == 1 else ' '.join(names)}: {text or 'none'}"
                for text, names in groups.items()
            )
            written.append(f"{name} | {' | '.join(parts)}\n")
    _FILE.write_text("".join(written))


def lines() -> list[str]:
    """What is recorded."""
    return _FILE.read_text().splitlines()


def _table() -> dict[str, dict[str, str]]:
    table: dict[str, dict[str, str]] = defaultdict(dict)
    for line in lines():
        name, *parts = line.split(" | ")
        for part in parts:
            places, _, text = part.partition(": ")
            everywhere = [place.name for place in Place]
            for place in everywhere if places == _EVERYWHERE else places.split():
                table[name][place] = "" if text == "none" else text
    return table
