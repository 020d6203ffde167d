"""The functions that expand installs in the database, and the statements that install them."""

from __future__ import annotations

from prefs.mapping import BLOB_COLUMN
from prefs.sql.names import qualified

MERGE_PATCH = "prefs_merge_patch"
BLOB_MISSING = "prefs_blob_missing"
SWITCH_MISSING = "prefs_switch_missing"
DOCUMENT_TEXT = "prefs_document_text"
CHANGED = "prefs_changed"
NOT_STORED = "prefs_not_stored"

# RFC 7396 (JSON Merge Patch), section 2, one level a call. It recurses, so its caller
# bounds the depth of the patch.
CREATE_MERGE_PATCH = f"""
CREATE OR REPLACE FUNCTION {qualified(MERGE_PATCH)}(target jsonb, patch jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $function$
DECLARE
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
END
$function$
""".strip()

# Like a merge patch, but what it sets is wrapped in an array: so a null can be set as well as
# removed, and an array or an object as a whole. A removal below an object that is gone does
# not bring that object back.
CREATE_CHANGED = f"""
CREATE OR REPLACE FUNCTION {qualified(CHANGED)}(target jsonb, change jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $function$
DECLARE
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
END
$function$
""".strip()

# A read binds the blob late, so that it is valid with the column and without. This is what
# it binds to where the column is gone. It is STABLE, not IMMUTABLE, so that the planner
# leaves it alone, and it raises, so that a switch turned back behind our back reads as an
# error and never as an empty document.
CREATE_BLOB_MISSING = f"""
CREATE OR REPLACE FUNCTION {qualified(BLOB_MISSING)}() RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $function$
BEGIN
  RAISE EXCEPTION 'the switches route preferences to a column that was dropped'
    USING ERRCODE = 'undefined_column',
          HINT = 'Run manage.py status_prefs: it prints the command that puts the switch back.';
END
$function$
""".strip()

# What a document reads as in a query of Django's own, where no code of ours sees the switches.
CREATE_SWITCH_MISSING = f"""
CREATE OR REPLACE FUNCTION {qualified(SWITCH_MISSING)}() RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $function$
BEGIN
  RAISE EXCEPTION 'a waffle switch of the preferences migration is missing'
    USING ERRCODE = 'object_not_in_prerequisite_state',
          HINT = 'Run manage.py status_prefs: it prints the command that puts the row back.';
END
$function$
""".strip()

# A trigger of the site's can have an UPDATE of ours change nothing, or something else.
CREATE_NOT_STORED = f"""
CREATE OR REPLACE FUNCTION {qualified(NOT_STORED)}(key text) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $function$
BEGIN
  RAISE EXCEPTION 'the preferences of user % were not stored: a trigger of the users table kept'
    ' the UPDATE of the column {BLOB_COLUMN} from being done, or altered it', key
    USING ERRCODE = 'triggered_data_change_violation',
          HINT = 'Nothing was written. Disable that trigger, or have it leave this column alone.';
END
$function$
""".strip()

# 9,000 numbers of 130,000 digits are 2.5 KB of jsonb and more text than PostgreSQL can
# build. Caught here, that spoils no caller's transaction; the reader names the user.
CREATE_DOCUMENT_TEXT = f"""
CREATE OR REPLACE FUNCTION {qualified(DOCUMENT_TEXT)}(doc jsonb) RETURNS text
LANGUAGE plpgsql STABLE STRICT AS $function$
BEGIN
  RETURN doc::text;
EXCEPTION WHEN program_limit_exceeded OR out_of_memory THEN
  RETURN NULL;
END
$function$
""".strip()

FUNCTIONS = {
    DOCUMENT_TEXT: CREATE_DOCUMENT_TEXT,
    MERGE_PATCH: CREATE_MERGE_PATCH,
    CHANGED: CREATE_CHANGED,
    BLOB_MISSING: CREATE_BLOB_MISSING,
    SWITCH_MISSING: CREATE_SWITCH_MISSING,
    NOT_STORED: CREATE_NOT_STORED,
}
ARGUMENTS = {
    DOCUMENT_TEXT: "jsonb",
    MERGE_PATCH: "jsonb, jsonb",
    CHANGED: "jsonb, jsonb",
    BLOB_MISSING: "",
    SWITCH_MISSING: "",
    NOT_STORED: "text",
}
