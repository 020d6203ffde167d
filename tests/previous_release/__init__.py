"""The release before the migration and this one, as real processes on one database."""
