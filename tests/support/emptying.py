"""What a test that commits leaves behind is deleted; content types and permissions stay.

Django's flush truncates every table and makes content types and permissions anew: with a few rows
in a few tables that takes ten times as long as to delete them.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connections
from django.test import TransactionTestCase

# A session is a superuser here: triggers of ours refuse some of it, and none is needed. A large
# table is truncated after all.
_EMPTY = """DO $$
DECLARE
  here record;
BEGIN
  PERFORM set_config('session_replication_role', 'replica', true);
  FOR here IN SELECT c.oid::regclass AS name, pg_relation_size(c.oid) AS size
    FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
    AND c.relname NOT IN
      ('django_migrations', 'django_content_type', 'auth_permission', 'waffle_switch',
       'waffle_sample', 'prefs_test_database', 'prefs_test_samples')
  LOOP
    IF here.size > 1000000 THEN
      EXECUTE format('TRUNCATE %s CASCADE', here.name);
    ELSIF here.size > 0 THEN
      EXECUTE format('DELETE FROM %s', here.name);
    END IF;
  END LOOP;
  DELETE FROM waffle_switch;
  INSERT INTO waffle_switch SELECT * FROM prefs_test_database;
  DELETE FROM waffle_sample;
  INSERT INTO waffle_sample SELECT * FROM prefs_test_samples;
END $$"""


def install() -> None:
    """Have Django's tests that commit end so."""
    original = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]

    def teardown(self: Any) -> None:
        if self.available_apps is not None or self.serialized_rollback:
            original(self)
            return
        for alias in self._databases_names(include_mirrors=False):
            with connections[alias].cursor() as cursor:
                cursor.execute(_EMPTY)

    patch = pytest.MonkeyPatch()
    patch.setattr(TransactionTestCase, "_fixture_teardown", teardown)
