"""The site that is migrated: its user model, whose table holds the legacy column."""
