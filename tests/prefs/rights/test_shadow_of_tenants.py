"""Shadow reads where row security shows each session a part of the users."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from prefs import shadow
from prefs.engine.states import State
from prefs.models import UserPreferences
from prefs.routing import SHADOW
from tests.prefs.canary.raising import force, percent
from tests.prefs.rights.test_row_security import tenants
from tests.support.roles import logged_in_as
from tests.support.running import run
from tests.support.steps import copy_all, go, part_blob, rows, verify_all

__all__ = ["tenants"]


@pytest.fixture(autouse=True)
def tables_of_who_sees_everybody(owner: str, tenants: list[int]) -> Iterator[None]:
    rows(f"ALTER ROLE {owner} BYPASSRLS")
    yield
    shadow.settle()
    rows(f"ALTER ROLE {owner} NOBYPASSRLS")


def test_what_a_session_of_a_tenant_finds_ends_the_canary(app: str, tenants: list[int]) -> None:
    """The mismatch is told by another session, in which nobody has said whose it is."""
    assert run("install_prefs").status == 0
    go(State.DUAL_WRITE)
    copy_all()
    verify_all()
    force(100, SHADOW)
    force(10)
    user = next(each for each in tenants if each % 2)
    part_blob(user, {"theme": "light"})
    with logged_in_as(app):
        rows("SET site.tenant = '1'")
        assert UserPreferences.objects.document(user)
        shadow.settle()
    assert rows("SELECT user_id FROM prefs_mismatch") == [(user,)]
    assert percent() == 0
