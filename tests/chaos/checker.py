"""What the harness demands of a history."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.ledger import Entry, Kind

Token = tuple[int, int]

# Mapped leaves that one client alone writes, with each of its tokens: a value that follows from
# the token; None removes the leaf.
LEAVES: Mapping[int, tuple[tuple[str, ...], tuple[Any, ...]]] = {
    0: (("items_per_page",), (None, 10, 25, 50, 100, 250, 500)),
    1: (("notifications", "email", "digest"), ("off", "daily", "weekly")),
    3: (("theme",), (None, "light", "dark", "system")),
    11: (("notifications", "email", "digest"), ("off", "daily", "weekly")),
    12: (("stamped",), (1, 2, 3, 4, 5)),
}


def key(slot: int) -> str:
    """The key of a document under which a client keeps its tokens."""
    return f"client {slot}"


def leaf(slot: int, token: int) -> Any:
    """What the client's leaf is after it wrote this token."""
    _, values = LEAVES[slot]
    return values[token % len(values)]


def tokens_of(document: Any) -> set[Token]:
    """The tokens in a document."""
    if not isinstance(document, dict):
        return set()
    return {
        (int(name.removeprefix("client ")), int(token))
        for name, tokens in document.items()
        if name.startswith("client ") and isinstance(tokens, dict)
        for token in tokens
    }


@dataclass(kw_only=True)
class Verdict:
    """What was wrong, by place and token, and how much was looked at."""

    acknowledged: int = 0
    in_doubt: int = 0
    undone: int = 0
    lost: list[tuple[int, Token]] = field(default_factory=list)
    from_nowhere: list[tuple[int, Token]] = field(default_factory=list)
    not_read: list[tuple[int, Token]] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not self.faults

    @property
    def faults(self) -> list[tuple[int, Token]]:
        """Each fault once, whatever it was found by."""
        return list(dict.fromkeys([*self.lost, *self.from_nowhere, *self.not_read]))


def judge(
    history: Iterable[Entry], documents: Mapping[int, Any], gone: Collection[int] = ()
) -> Verdict:
    """Compare a history with the documents by place.

    To the users of the places `gone`, who were deleted, nothing is due: who saves an instance
    that was loaded before makes such a user anew, as Django has it, with what the instance holds.

    Lost is a token that was acknowledged and is not there, or whose leaf is not what it or a
    later token made it; from nowhere is one that is there and was never meant, or was undone,
    or stands in another user's document. A token is a key of an object, so it cannot be there
    twice in one document; in two it is from nowhere. Not read is one that was acknowledged
    before a read began that did not show it, also where it is there in the end.
    """
    expected, missed = _meant(history)
    verdict = Verdict()
    for kind in (kind for meant in expected.values() for kind in meant.values()):
        verdict.acknowledged += kind is Kind.ACKNOWLEDGED
        verdict.in_doubt += kind is Kind.INTENDED
        verdict.undone += kind is Kind.UNDONE
    for place, document in documents.items():
        found, meant = tokens_of(document), expected[place]
        nobodys = [each for each in found if meant.get(each) in (None, Kind.UNDONE)]
        due = [each for each, kind in meant.items() if kind is Kind.ACKNOWLEDGED]
        verdict.from_nowhere += [(place, each) for each in sorted(nobodys)]
        if place in gone:
            continue
        missing = [*(each for each in due if each not in found), *_overwritten(document, meant)]
        verdict.lost += [(place, each) for each in sorted(set(missing))]
    for place, token in missed:
        if expected[place].get(token) is Kind.ACKNOWLEDGED:
            verdict.not_read.append((place, token))
    return verdict


Expected = dict[int, dict[Token, Kind]]


def _meant(history: Iterable[Entry]) -> tuple[Expected, dict[tuple[int, Token], None]]:
    """What became of each token, by place; and the tokens that a read did not show."""
    expected: Expected = defaultdict(dict)
    missed: dict[tuple[int, Token], None] = {}
    for entry in history:
        if entry.kind is Kind.MISSED:
            missed[entry.place, (entry.slot, entry.token)] = None
        elif entry.kind is not Kind.READ:
            expected[entry.place][entry.slot, entry.token] = entry.kind
    return expected, missed


def _overwritten(document: Any, meant: Mapping[Token, Kind]) -> Iterator[Token]:
    """The last acknowledged tokens of a user whose leaves are not as they were written.

    One in doubt may have been written before or after: its process was killed, its statement
    went on.
    """
    for slot, (path, _) in LEAVES.items():
        mine = {token: kind for (each, token), kind in meant.items() if each == slot}
        acknowledged = [token for token, kind in mine.items() if kind is Kind.ACKNOWLEDGED]
        if acknowledged:
            last = max(acknowledged)
            doubtful = [token for token, kind in mine.items() if kind is Kind.INTENDED]
            if _value(document, path) not in [leaf(slot, each) for each in (last, *doubtful)]:
                yield slot, last


def _value(document: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document
