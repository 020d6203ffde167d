"""SQL by hand on the typed rows, in transactions that outlast a flip.

Where the tables alone are written, that is a write of the primary, and it locks no user.
"""

from __future__ import annotations

import time

from django.db import connection, transaction

from prefs.sql.catalog import state
from tests.chaos.checker import key, leaf
from tests.chaos.client import BY_ROW, FROZEN, LINGERED, Client
from tests.chaos.ledger import Kind
from tests.chaos.lingering import stay

_ROUTE = f"SELECT s.* FROM ({state()}) s(dual_write, read_tables, has_column)"
_APPEND = (
    "UPDATE user_preferences SET residue = jsonb_set(coalesce(residue, '{}'), ARRAY[%s],"
    " coalesce(residue -> %s, '{}') || jsonb_build_object(%s::text, 1)) WHERE user_id = %s"
    f" RETURNING (SELECT read_tables AND NOT dual_write FROM ({_ROUTE}) r)"
)
_SET_LEAF = "UPDATE notification_preferences SET email_digest = %s WHERE user_id = %s"


class RowWriter(Client):
    """Appends to the typed rows of users whom nobody else writes, as long as they are primary."""

    slot = 11
    # What its triggers answer while the rows are mirrored.
    refusals = (FROZEN,)

    def hurry(self) -> None:
        """Never: it is here to stay."""

    def write(self) -> None:
        time.sleep(self.random.uniform(0.02, 0.1))
        place = LINGERED + self.random.randrange(BY_ROW)
        token = self.intend(place)
        with transaction.atomic(), connection.cursor() as cursor:
            own = key(self.slot)
            cursor.execute(_APPEND, [own, own, str(token), place + 1])
            written = cursor.fetchall() == [(True,)]
            if written:
                cursor.execute(_SET_LEAF, [leaf(self.slot, token), place + 1])
                stay(self)
            else:
                transaction.set_rollback(True)
        if written:
            self.acknowledge(place, token)
        else:
            self.ledger.add(Kind.UNDONE, place, token)
