"""Triggers that a site may have on its users table, made and taken away again.

Each changes a row of users beside, or against, the statement that it fires for.
"""

from __future__ import annotations

from tests.support.stores import query

STAMP = '{"stamp": 1.0, "theme": "system"}'
# Before and after ours: triggers of one event fire in the order of their names.
NAMES = ("a_site", "z_site")

# A part of our capture function, and what has it mirror the value that it was called with.
CALLED_WITH = ('u."preferences" AS doc', 'new."preferences" AS doc')

_STAMP_IT = f"UPDATE accounts_user SET preferences = preferences || '{STAMP}' WHERE id = NEW.id"
_AGAIN = "UPDATE accounts_user SET preferences = preferences || '{\"again\": 2}' WHERE id = NEW.id"
# What a trigger does once its row was written; only so deep that it does not fire itself for ever.
AFTER_ROW = {
    "stamps": f"IF pg_trigger_depth() = 1 THEN {_STAMP_IT}; END IF;",
    "stamps two levels deep": f"IF pg_trigger_depth() = 1 THEN {_STAMP_IT};"
    f" ELSIF pg_trigger_depth() = 2 THEN {_AGAIN}; END IF;",
    "stamps twice": f"IF pg_trigger_depth() = 1 THEN {_STAMP_IT}; {_AGAIN}; END IF;",
    "stamps and takes it back": f"IF pg_trigger_depth() = 1 THEN {_STAMP_IT};"
    " UPDATE accounts_user SET preferences = NEW.preferences WHERE id = NEW.id; END IF;",
    "moves the key": "IF pg_trigger_depth() = 1 THEN"
    " UPDATE accounts_user SET id = id + 1000000 WHERE id = NEW.id; END IF;",
    "moves the key there and back": "IF pg_trigger_depth() = 1 THEN"
    " UPDATE accounts_user SET id = id + 1000000 WHERE id = NEW.id;"
    " UPDATE accounts_user SET id = id - 1000000 WHERE id = NEW.id + 1000000; END IF;",
    "moves the key and stamps": "IF pg_trigger_depth() = 1 THEN UPDATE accounts_user"
    f" SET id = id + 1000000, preferences = preferences || '{STAMP}' WHERE id = NEW.id; END IF;",
    "deletes the row": "DELETE FROM accounts_user WHERE id = NEW.id;",
    "touches another column": "IF pg_trigger_depth() = 1 THEN"
    " UPDATE accounts_user SET last_login = now() WHERE id = NEW.id; END IF;",
}
BEFORE_ROW = {
    "alters": f"NEW.preferences := coalesce(NEW.preferences, '{{}}') || '{STAMP}'; RETURN NEW;",
    "keeps it as it was": "NEW.preferences := OLD.preferences; RETURN NEW;",
    "cancels": "RETURN NULL;",
}


def create(name: str, when: str, body: str) -> None:
    """A trigger `name` of the site's that fires `when` and does `body`."""
    query(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS"
        f" $site$BEGIN {body} RETURN NULL; END$site$"
    )
    query(f"CREATE TRIGGER {name} {when} EXECUTE FUNCTION {name}()")


def after_row(name: str, does: str, events: str = "UPDATE OF preferences") -> None:
    """One of AFTER_ROW."""
    create(name, f"AFTER {events} ON accounts_user FOR EACH ROW", AFTER_ROW[does])


def before_row(does: str, events: str = "UPDATE OF preferences") -> None:
    """One of BEFORE_ROW."""
    create("site", f"BEFORE {events} ON accounts_user FOR EACH ROW", BEFORE_ROW[does])


def remove(name: str) -> None:
    """Take such a trigger away with its function."""
    query(f"DROP FUNCTION {name}() CASCADE")


# Who writes this last name asks for the stamp.
STAMPED = "stamped"


def stamp_who_asks() -> None:
    """A trigger before ours that stamps the documents of who is STAMPED from now on."""
    create(
        NAMES[0],
        "AFTER UPDATE ON accounts_user FOR EACH ROW"
        f" WHEN (NEW.last_name = '{STAMPED}' AND OLD.last_name <> '{STAMPED}')",
        "UPDATE accounts_user SET preferences = preferences || '{\"stamp\": 1}' WHERE id = NEW.id;",
    )
