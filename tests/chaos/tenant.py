"""An operator whose role sees some users alone: what it finds must not pass for all of them."""

from __future__ import annotations

import time
from io import StringIO

from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS as ALIAS
from django.db import connection

from prefs.engine.sight import UsersHidden
from prefs.engine.verification import verify
from prefs.models import Run
from tests.chaos.operators import Operator
from tests.chaos.taking import SETTINGS
from tests.support.roles import hide_users

_ROLE = "chaos_tenant"


def prepare_tenants() -> None:
    """Have row security on users, and policies that follow it; the others' roles see everybody."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {_ROLE}")
    hide_users(_ROLE, "id % 3 = 0")
    call_command("install_prefs", verbosity=0, stdout=StringIO())


class Tenant(Operator):
    """Verifies as that role, which has to be refused."""

    def act(self) -> None:
        time.sleep(self.random.uniform(0.1, 0.5))
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"SET ROLE {_ROLE}")
            run = verify(ALIAS, SETTINGS, self.control)
        except UsersHidden:
            return
        finally:
            connection.close()
        if run.status == Run.Status.DONE:
            what = "a run over some users that was let through"
            self.complaints.add(what, f"{run}, {run.users} users, {run.differing} differing")
