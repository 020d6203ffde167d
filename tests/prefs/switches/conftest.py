"""A migrated database of its own for each test, and a client of its admin."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.test import Client

from tests.prefs.switches.turning import ADMIN
from tests.support.databases import copies, site

__all__ = ["copies", "site"]


@pytest.fixture
def admin(site: str) -> Iterator[Client]:
    """A client that is logged in as a superuser of `site`."""
    user = get_user_model()._default_manager.create(
        username=ADMIN, is_staff=True, is_superuser=True
    )
    client = Client()
    client.force_login(user)
    yield client
    # The next test may get the same database: its log and permissions go with the users.
    get_user_model()._default_manager.all().delete()
    Session.objects.all().delete()
