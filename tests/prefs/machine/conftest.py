"""A migrated database for each test, whose transitions need not wait."""

from datetime import timedelta

import pytest
from pytest_django import Settings

from tests.support.databases import copies, site

__all__ = ["copies", "no_soak", "site"]


@pytest.fixture
def no_soak(settings: Settings) -> None:
    """A switch that is saved asks the site's own settings."""
    settings.PREFS_CUTOVER_SOAK = timedelta(0)
