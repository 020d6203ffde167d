"""Blobs of every kind, and how the column that holds them is made."""

from __future__ import annotations

from typing import Any

from tests.support.steps import rows

VARIED: tuple[Any, ...] = (
    None,
    "null",
    {},
    [],
    '"dark"',
    "5",
    {"theme": "dark", "language": "pt-BR", "timezone": "Europe/Lisbon", "items_per_page": 50},
    '{"theme": "dark", "items_per_page": 50.0, "x": 1e2, "y": 1.00}',
    {"theme": None, "notifications": {}},
    {"notifications": {"email": {"digest": "weekly"}, "quiet_hours": {"start": "24:00"}}},
    {"notifications": {"quiet_hours": {"start": "22:00", "end": "06:30"}, "email": []}},
    '{"deep": ' + "[" * 900 + "]" * 900 + "}",
    '{"long": 0.' + "1234567890" * 30 + "}",
    {"%s": "100%", "emoji": "\N{SNOWMAN}", "quote": '"'},
)
INDEXES = (
    "CREATE INDEX one ON accounts_user ((preferences ->> 'theme')) WHERE is_active",
    "CREATE INDEX two ON accounts_user USING gin (preferences jsonb_path_ops)",
    "CREATE INDEX three ON accounts_user"
    " (username DESC NULLS LAST, (preferences -> 'a%b')) INCLUDE (email)",
    'CREATE INDEX "Four\'s" ON accounts_user (id) WHERE preferences IS NULL',
)
LOOK = """SELECT format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attstorage, a.attcompression,
  pg_get_expr(f.adbin, f.adrelid), col_description(a.attrelid, a.attnum)
  FROM pg_attribute a LEFT JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
  WHERE a.attrelid = 'accounts_user'::regclass AND a.attname = 'preferences'"""
LOOK_AT_INDEXES = """SELECT pg_get_indexdef(indexrelid), indisvalid, indisready FROM pg_index
  WHERE indrelid = 'accounts_user'::regclass ORDER BY indexrelid::regclass::text"""
LOOK_AT_CONSTRAINTS = """SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
  WHERE conrelid = 'accounts_user'::regclass ORDER BY 1"""


def definition() -> list[tuple[Any, ...]]:
    """The column, its indexes and the constraints of its table."""
    return [*rows(LOOK), *rows(LOOK_AT_INDEXES), *rows(LOOK_AT_CONSTRAINTS)]
