"""A migrated database for each test, which the test may alter as it likes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from tests.support import scratch


@pytest.fixture(scope="session")
def copies(template: str, django_db_blocker: DjangoDbBlocker) -> Iterator[scratch.Copies]:
    """Copies of a migrated database without users."""
    made = scratch.Copies(template)
    yield made
    with django_db_blocker.unblock():
        made.close()


@pytest.fixture
def site(copies: scratch.Copies, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """The name of one, to which Django's connections go while the test runs."""
    with django_db_blocker.unblock(), copies.one() as name, scratch.pointed_at(name):
        yield name
