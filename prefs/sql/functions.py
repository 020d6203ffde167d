"""The small functions, which statements and other functions call."""

from __future__ import annotations

from dataclasses import replace

from prefs.mapping import BLOB_COLUMN
from prefs.sql.names import qualified
from prefs.sql.stored import StoredFunction

MERGE_PATCH = "prefs_merge_patch"
BLOB_MISSING = "prefs_blob_missing"
SWITCH_MISSING = "prefs_switch_missing"
DOCUMENT_TEXT = "prefs_document_text"
CHANGED = "prefs_changed"
NOT_STORED = "prefs_not_stored"


def _raises(name: str, returns: str, message: str, code: str, hint: str) -> StoredFunction:
    """A function that raises. It is STABLE, not IMMUTABLE, so that the planner leaves it alone."""
    body = f"""BEGIN
  RAISE EXCEPTION {message}
    USING ERRCODE = '{code}',
          HINT = '{hint}';
END"""
    return StoredFunction(name=name, returns=returns, traits="STABLE PARALLEL SAFE", body=body)


FUNCTIONS = (
    # 9,000 numbers of 130,000 digits are 2.5 KB of jsonb and more text than PostgreSQL can
    # build. Caught here, that spoils no caller's transaction; the reader names the user.
    StoredFunction(
        name=DOCUMENT_TEXT,
        takes="jsonb",
        named="doc jsonb",
        returns="text",
        traits="STABLE STRICT",
        body="""BEGIN
  RETURN doc::text;
EXCEPTION WHEN program_limit_exceeded OR out_of_memory THEN
  RETURN NULL;
END""",
    ),
    # RFC 7396 (JSON Merge Patch), section 2, one level a call. It recurses, so its caller
    # bounds the depth of the patch.
    StoredFunction(
        name=MERGE_PATCH,
        takes="jsonb, jsonb",
        named="target jsonb, patch jsonb",
        returns="jsonb",
        traits="IMMUTABLE PARALLEL SAFE",
        body=f"""DECLARE
  result jsonb;
  member record;
BEGIN
  IF jsonb_typeof(patch) <> 'object' THEN
    RETURN patch;
  END IF;
  result := CASE WHEN jsonb_typeof(target) = 'object' THEN target ELSE '{{}}'::jsonb END;
  FOR member IN SELECT p.key, p.value FROM jsonb_each(patch) p LOOP
    CASE jsonb_typeof(member.value)
      WHEN 'null' THEN
        result := result - member.key;
      WHEN 'object' THEN
        result := result || jsonb_build_object(
          member.key, {qualified(MERGE_PATCH)}(result -> member.key, member.value));
      ELSE
        result := result || jsonb_build_object(member.key, member.value);
    END CASE;
  END LOOP;
  RETURN result;
END""",
    ),
    # Like a merge patch, but what it sets is wrapped in an array: so a null can be set as well as
    # removed, and an array or an object as a whole. A removal below an object that is gone does
    # not bring that object back.
    StoredFunction(
        name=CHANGED,
        takes="jsonb, jsonb",
        named="target jsonb, change jsonb",
        returns="jsonb",
        traits="IMMUTABLE PARALLEL SAFE",
        body=f"""DECLARE
  result jsonb;
  below jsonb;
  member record;
BEGIN
  IF jsonb_typeof(change) = 'array' THEN
    RETURN change -> 0;
  END IF;
  result := CASE WHEN jsonb_typeof(target) = 'object' THEN target ELSE '{{}}'::jsonb END;
  FOR member IN SELECT c.key, c.value FROM jsonb_each(change) c LOOP
    CASE jsonb_typeof(member.value)
      WHEN 'null' THEN
        result := result - member.key;
      WHEN 'array' THEN
        result := result || jsonb_build_object(member.key, member.value -> 0);
      ELSE
        below := {qualified(CHANGED)}(result -> member.key, member.value);
        IF below <> '{{}}' OR jsonb_typeof(result -> member.key) = 'object' THEN
          result := result || jsonb_build_object(member.key, below);
        END IF;
    END CASE;
  END LOOP;
  RETURN result;
END""",
    ),
    # A read binds the blob late, so that it is valid with the column and without. This is what
    # it binds to where the column is gone: a switch turned back behind our back reads as an
    # error and never as an empty document.
    _raises(
        BLOB_MISSING,
        "jsonb",
        "'the switches route preferences to a column that was dropped'",
        "undefined_column",
        "Run manage.py status_prefs: it prints the command that puts the switch back.",
    ),
    # What a document reads as in a query of Django's own, where no code of ours sees the switches.
    _raises(
        SWITCH_MISSING,
        "jsonb",
        "'a waffle switch of the preferences migration is missing'",
        "object_not_in_prerequisite_state",
        "Run manage.py status_prefs: it prints the command that puts the row back.",
    ),
    # A trigger of the site's can have an UPDATE of ours change nothing, or something else.
    replace(
        _raises(
            NOT_STORED,
            "boolean",
            f"""'the preferences of user % were not stored: a trigger of the users table kept'
    ' the UPDATE of the column {BLOB_COLUMN} from being done, or altered it', key""",
            "triggered_data_change_violation",
            "Nothing was written. Disable that trigger, or have it leave this column alone.",
        ),
        takes="text",
        named="key text",
    ),
)
