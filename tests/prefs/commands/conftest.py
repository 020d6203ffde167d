"""The databases that tests of the engine use, for processes as well."""

from tests.prefs.engine.conftest import copies, site

__all__ = ["copies", "site"]
