"""What the harness demands of a history, once everybody is gone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.ledger import Entry, Kind

Token = tuple[int, int]
_AROUND = 1.0


def key(slot: int) -> str:
    """The key of a document under which a client keeps its tokens."""
    return f"client {slot}"


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
    """What was wrong, and how much was looked at."""

    acknowledged: int = 0
    in_doubt: int = 0
    undone: int = 0
    lost: list[tuple[int, Token]] = field(default_factory=list)
    from_nowhere: list[tuple[int, Token]] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not self.lost and not self.from_nowhere


def judge(history: Iterable[Entry], documents: Mapping[int, Any]) -> Verdict:
    """Compare a history with the documents by place; a deleted user's place has none.

    Lost is a token that was acknowledged and is not there; from nowhere is one that is there
    and was never meant, or was undone, or stands in another user's document. A token is a key
    of an object, so it cannot be there twice in one document; in two it is from nowhere.
    """
    last: dict[tuple[int, Token], Kind] = {}
    for entry in history:
        last[entry.place, (entry.slot, entry.token)] = entry.kind
    verdict = Verdict()
    expected: dict[int, dict[Token, Kind]] = defaultdict(dict)
    for (place, token), kind in last.items():
        expected[place][token] = kind
        verdict.acknowledged += kind is Kind.ACKNOWLEDGED
        verdict.in_doubt += kind is Kind.INTENDED
        verdict.undone += kind is Kind.UNDONE
    for place, document in documents.items():
        found, meant = tokens_of(document), expected[place]
        for token in sorted(found):
            if meant.get(token) in (None, Kind.UNDONE):
                verdict.from_nowhere.append((place, token))
        for token, kind in sorted(meant.items()):
            if kind is Kind.ACKNOWLEDGED and token not in found:
                verdict.lost.append((place, token))
    return verdict


def story(
    history: Iterable[Entry], place: int, token: Token, others: Iterable[tuple[float, str]]
) -> list[str]:
    """The one user and the fewest events that show a fault: what was around its token in time.

    `others` are the harness's own events and the transitions: (seconds, what).
    """
    mine = [entry for entry in history if entry.place == place]
    moments = [entry.seconds for entry in mine if (entry.slot, entry.token) == token]
    begin, end = min(moments, default=0.0) - _AROUND, max(moments, default=0.0) + _AROUND
    events = [(e.seconds, f"client {e.slot} {e.kind.name.lower()} {e.token}") for e in mine]
    return [
        f"{seconds - begin:7.3f} s  {what}"
        for seconds, what in sorted([*events, *others])
        if begin <= seconds <= end
    ]
