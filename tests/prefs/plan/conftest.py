"""A migrated database for each test."""

from tests.support.databases import copies, site

__all__ = ["copies", "site"]
