"""The exactness check: documents through the real statements, compared on the server.

`failures` says which documents of a batch did not come back byte for byte, or were reported
wrongly by the difference statement. It compares with record_image_eq in SQL of its own, so
it notices a fault in ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import DatabaseError, transaction

from prefs.sql import copying, documents, expressions
from tests.prefs.shrinking import boil_down
from tests.support.strategies import Batch, Text

_SHOWN = 300

_INSERT = """INSERT INTO accounts_user (password, is_superuser, username, first_name, last_name,
    email, is_staff, is_active, date_joined, preferences)
  SELECT '', false, gen_random_uuid(), '', '', '', false, true, now(), o.body::jsonb
  FROM unnest(%s::text[]) WITH ORDINALITY o(body, n) ORDER BY o.n RETURNING id"""

_GIVEN = "unnest(%(ids)s::bigint[], %(texts)s::text[]) o(id, body)"
# Said twice, or the users of all batches before are read too.
_ITS_USER = "u.id = o.id AND u.id = ANY(%(ids)s)"
_OTHER_THAN_GIVEN = f"""SELECT u.id FROM {_GIVEN} JOIN accounts_user u ON {_ITS_USER}
  WHERE NOT record_image_eq(ROW(u.preferences), ROW(o.body::jsonb)) ORDER BY u.id"""

_PRINTED = """COALESCE(prefs_document_text(u.preferences),
  CASE WHEN u.preferences IS NOT NULL THEN '' END)"""


def insert_users(cursor: Any, texts: Sequence[Text]) -> list[int]:
    """Users whose blobs are `texts`, in that order; their ids follow one another."""
    cursor.execute(_INSERT, [list(texts)])
    ids = [row[0] for row in cursor.fetchall()]
    assert ids == list(range(ids[0], ids[0] + len(texts)))
    return ids


class Users:
    """The users of one batch, their given texts, and what went wrong with them."""

    def __init__(self, cursor: Any, texts: Sequence[Text]) -> None:
        self.cursor = cursor
        self.ids = insert_users(cursor, texts)
        self.texts = list(texts)
        self.failures: list[str] = []

    def run(self, statement: str) -> list[Any]:
        range_ = {"after": self.ids[0] - 1, "upto": self.ids[-1]}
        self.cursor.execute(statement, {"ids": self.ids, **range_, "texts": self.texts})
        return self.cursor.fetchall() if self.cursor.description else []

    def blame(self, what: str, rows: Iterable[tuple[int]]) -> None:
        for (key,) in rows:
            text = str(self.texts[key - self.ids[0]])
            self.failures.append(f"{what}: {text[:_SHOWN]} ({len(text)} characters)")

    def expect(self, what: str, statement: str, expected: Sequence[Any]) -> None:
        found = self.run(statement)
        if tuple(found[0]) != tuple(expected):
            self.failures.append(f"{what}: {found[0]}, expected {expected}")

    def must_not_differ(self, what: str) -> None:
        self.blame(f"differs {what}", self.run(copying.difference()))

    def must_read_alike(self, what: str) -> None:
        """A single user's document, and its text, is that of the blob."""
        text = f"SELECT {expressions.put_together_text('k')} {documents.typed_row('u.id')}"
        self.blame(
            f"read otherwise {what}",
            self.run(f"""SELECT u.id FROM accounts_user u
              WHERE u.id > %(after)s AND u.id <= %(upto)s AND (({text}) IS DISTINCT FROM {_PRINTED}
              OR NOT record_image_eq(ROW({documents.tables_document("u.id")}), ROW(u.preferences)))
              ORDER BY u.id"""),
        )

    def must_come_back(self, what: str) -> None:
        """Wipe the blobs, fill them from the tables, compare them with the given texts."""
        self.run("""UPDATE accounts_user SET preferences = '"wiped"' WHERE id = ANY(%(ids)s)""")
        self.run(copying.overwrite_blob())
        self.blame(f"came back changed {what}", self.run(_OTHER_THAN_GIVEN))

    def change(self, texts: Sequence[Text]) -> None:
        """Give the users other blobs; the difference names those, and only those."""
        self.texts = list(texts)
        changed = self.run(_OTHER_THAN_GIVEN)
        self.run(
            f"UPDATE accounts_user u SET preferences = o.body::jsonb FROM {_GIVEN}"
            f" WHERE {_ITS_USER}"
        )
        reported = self.run(copying.difference())
        self.blame("changed, but no difference reported", sorted(set(changed) - set(reported)))
        self.blame("unchanged, but reported", sorted(set(reported) - set(changed)))


def failures(cursor: Any, batch: Batch) -> list[str]:
    """What is wrong with the batch, empty where all is exact; an error is a failure too."""
    try:
        with transaction.atomic():
            # As every batch: the rows of earlier ones must not be read again and again.
            cursor.execute(copying.batch_settings(), {"lock_timeout": "0"})
            return _failures(cursor, batch)
    except DatabaseError as error:
        return [f"error: {error}"]


def culprit(cursor: Any, batch: Batch) -> tuple[Text, Text]:
    """The first document of a failing batch that fails alone, and its successor, made small."""

    def fails(before: Text, after: Text) -> bool:
        return bool(failures(cursor, Batch([before], [after])))

    pairs = zip(batch.before, batch.after, strict=True)
    before, after = next((pair for pair in pairs if fails(*pair)), ("none fails alone", None))
    before = boil_down(before, lambda text: fails(text, after))
    return before, boil_down(after, lambda text: fails(before, text))


def _failures(cursor: Any, batch: Batch) -> list[str]:
    users = Users(cursor, batch.before)
    everyone = len(users.ids)
    users.expect("copied", copying.copy_missing(), (everyone, everyone, False, False))
    users.expect("copied twice", copying.copy_missing(), (0, 0, False, False))
    users.must_not_differ("once copied")
    users.must_read_alike("once copied")
    users.expect("unsettled once copied", copying.settle_tables(), (0, 0))
    users.must_come_back("from the copy")
    users.change(batch.after)
    users.run(copying.overwrite_tables())
    users.expect("overwritten twice", copying.overwrite_tables(), (0, 0))
    users.must_not_differ("once overwritten")
    users.must_read_alike("once overwritten")
    users.must_come_back("from what overwrote it")
    return users.failures
