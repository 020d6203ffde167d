"""Tests of the migration app, on a real PostgreSQL always."""
