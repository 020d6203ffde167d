"""A migrated database for each test, which the test may alter as it likes."""

from tests.support.databases import copies, site

__all__ = ["copies", "site"]
