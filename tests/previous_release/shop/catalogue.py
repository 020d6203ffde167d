"""The names of the site's writers, for tests, which cannot import its user model."""

CREATORS = (
    "create",
    "bulk_create",
    "create_by_form",
    "insert_in_sql",
    "insert_on_conflict",
    "copy",
    "load_fixture",
)
CHANGERS = (
    "save",
    "save_one_field",
    "update",
    "bulk_update",
    "update_or_create",
    "bulk_create_over",
    "change_by_form",
    "change_in_admin",
    "update_in_sql",
    "conflict_in_sql",
    "load_fixture_over",
)
