"""Commands inside this process, by the way that manage.py takes; processes are in `scratch`."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass
from typing import Any

from django.core.management import ManagementUtility


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on stdout; fails where there is more, or another thing."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


def run(*arguments: str) -> Outcome:
    """Run `manage.py arguments` here."""
    out, err = io.StringIO(), io.StringIO()
    status = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            ManagementUtility(["manage.py", *arguments]).execute()
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1 if ended.code else 0
    return Outcome(status=status, out=out.getvalue(), err=err.getvalue())
