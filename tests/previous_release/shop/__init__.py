"""The site as it was before the migration, frozen: it knows nothing of this project's code.

Its migrations are not run: its users table is the one that this release has migrated, or the
one that it is about to migrate.
"""
