"""The site with a broken protocol, for a web server: the ETag is compared before the lock."""

from __future__ import annotations

from project.wsgi import application
from tests.prefs.managers.test_if_match import compare_before_the_lock

__all__ = ["application"]

compare_before_the_lock(setattr)
