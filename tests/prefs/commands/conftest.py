"""The databases that tests of the engine use, for processes as well."""

from tests.support.databases import copies, site

__all__ = ["copies", "site"]
