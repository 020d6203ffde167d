"""A migrated database, and roles that outlast it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import roles
from tests.support.databases import copies, site

__all__ = ["copies", "site"]


@pytest.fixture(scope="module")
def owner() -> Iterator[str]:
    """An ordinary role, for whatever a site's tables belong to."""
    with roles.role("owner") as name:
        yield name


@pytest.fixture(scope="module")
def app() -> Iterator[str]:
    """An ordinary role, as which the application connects."""
    with roles.role("app") as name:
        yield name
