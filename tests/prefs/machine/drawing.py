"""What the machine draws: documents as JSON text, patches, edits, corrections."""

from __future__ import annotations

from functools import lru_cache, partial

from hypothesis import strategies as st

from tests.prefs.machine.documents import parse, text_of
from tests.support.strategies import BYTES, Text, compose

# Deep documents and huge numbers have tests of their own.
_DEEPEST, _LONGEST = 40, 5_000

SMALL: tuple[Text, ...] = (
    "{}",
    '{"theme": "dark"}',
    '{"theme": "light", "beta": 1}',
    '{"theme": "purple"}',
    '{"beta": 1.0}',
    '{"beta": true}',
    '{"beta": 0.10}',
    '{"items_per_page": 10}',
    '{"items_per_page": 10.0}',
    '{"compact_mode": "true"}',
    '{"notifications": {"email": {"marketing": true}}}',
    '{"notifications": {"email": {"digest": "daily"}, "quiet_hours": {"start": "22:00"}}}',
    '{"notifications": {"quiet_hours": {"start": "24:00"}}}',
    '{"notifications": []}',
    '{"notifications": {}}',
    "null",
    "[]",
    None,
)
QUARANTINED = '{"theme": "purple", "items_per_page": 10.0}'
PATCHES = (
    "{}",
    '{"theme": "dark"}',
    '{"theme": null}',
    '{"theme": "purple"}',
    '{"items_per_page": 10}',
    '{"items_per_page": 10.0}',
    '{"timezone": "Nowhere/Nothing"}',
    '{"notifications": {"email": {"marketing": true, "digest": null}}}',
    '{"notifications": {"email": {"digest": "weekly"}, "push": {}}}',
    '{"notifications": null, "beta": {"a": null, "b": 1.0}}',
    "null",
)
# A path, and the JSON text to set there; None takes it out.
EDITS = (
    ("theme", '"dark"'),
    ("theme", '"light"'),
    ("theme", "null"),
    ("theme", None),
    ("items_per_page", "25"),
    ("beta", "1"),
    ("beta", "1.0"),
    ("beta", "true"),
    ("beta", '{"a": {}}'),
    ("beta.a", None),
    ("notifications", "[]"),
    ("notifications", "{}"),
    ("notifications", None),
    ("notifications.email", "{}"),
    ("notifications.email.digest", '"weekly"'),
    ("notifications.email.digest", None),
    ("notifications.push.mentions", "true"),
    ("notifications.quiet_hours.start", '"24:00"'),
)
# What takes the place of an entry in quarantine; any other is taken out.
CORRECT = {
    "theme": '"system"',
    "items_per_page": "10",
    "compact_mode": "true",
    "notifications.email": '{"digest": "off"}',
    "notifications.quiet_hours.start": '"00:00"',
}


@lru_cache(maxsize=4096)
def _moderate(text: Text) -> bool:
    return len(text_of(parse(text)) or "") <= _LONGEST


def documents() -> st.SearchStrategy[Text]:
    """Documents as JSON text; None is SQL NULL."""
    odd = st.binary(max_size=BYTES).map(partial(compose, deepest=_DEEPEST)).filter(_moderate)
    return st.sampled_from(SMALL) | odd


def patches() -> st.SearchStrategy[str]:
    """Merge patches as JSON text."""
    return st.sampled_from(PATCHES) | documents().filter(bool).map(str)
