"""A site with a trigger of its own, which changes a document that has just been written.

Its name sorts before that of our capture, so it fires first, and its own UPDATE is captured
before the one that it fired for.
"""

from __future__ import annotations

import time

from django.db import connection

from tests.chaos.checker import key, leaf
from tests.chaos.client import DROPPED, FROZEN, Client

# Refused: a change of the column by a trigger, beside a write of both stores.
_BESIDE = "27000"
_APPEND = (
    "UPDATE accounts_user SET preferences = jsonb_set(preferences, ARRAY[%s],"
    " coalesce(preferences -> %s, '{}') || jsonb_build_object(%s::text, 1))"
    " || jsonb_build_object('stamp', %s::integer) WHERE id = %s"
)
# It asks for the column by to_jsonb, so that the column can be dropped without it.
TRIGGER = """
CREATE FUNCTION a_site_stamps() RETURNS trigger LANGUAGE plpgsql AS $site$
BEGIN
  IF to_jsonb(new) #> '{preferences,stamp}'
      IS DISTINCT FROM to_jsonb(new) #> '{preferences,stamped}' THEN
    UPDATE accounts_user
    SET preferences = preferences || jsonb_build_object('stamped', preferences -> 'stamp')
    WHERE id = new.id;
  END IF;
  RETURN NULL;
END$site$;
CREATE TRIGGER a_site_stamps AFTER UPDATE ON accounts_user
FOR EACH ROW EXECUTE FUNCTION a_site_stamps()
"""
# What an operator of such a site has to answer for.
OVERRIDES = frozenset({"site_triggers", "no_code_names_column"})


class Stamper(Client):
    """SQL by hand on the column, with a leaf that the site's trigger copies to another."""

    slot = 12
    refusals = (DROPPED, FROZEN, _BESIDE)

    def write(self) -> None:
        time.sleep(self.random.uniform(0, 0.02))
        place = self.some_user()
        token = self.intend(place)
        own, stamp = key(self.slot), leaf(self.slot, token)
        with connection.cursor() as cursor:
            cursor.execute(_APPEND, [own, own, str(token), stamp, place + 1])
            written = cursor.rowcount > 0
        if written:
            self.acknowledge(place, token)
