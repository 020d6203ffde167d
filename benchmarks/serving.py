"""Web servers of the sites, each on a database, and a client whose users are logged in."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.utils import timezone

from benchmarks.bench import Bench
from benchmarks.commands import ROOT, environment
from benchmarks.databases import OURS, settings

_TOKEN = "t" * 32
_BACKEND = "django.contrib.auth.backends.ModelBackend"
_HOST = "127.0.0.1"


class RequestFailed(RuntimeError):
    """An answer other than 200."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"The server answered {status}: {body[:500].decode(errors='replace')}")


class Client:
    """Requests of users who are logged in, each over a connection of its own."""

    def __init__(self, port: int) -> None:
        self._port = port

    def get(self, user: Any) -> bytes:
        """A user's own document."""
        return self._send("GET", user, None, {})

    def patch(self, user: Any, patch: dict[str, Any]) -> bytes:
        """Merge into a user's own document; what is stored."""
        headers = {"Content-Type": "application/merge-patch+json", "X-CSRFToken": _TOKEN}
        return self._send("PATCH", user, json.dumps(patch), headers)

    def _send(self, method: str, user: Any, body: str | None, headers: dict[str, str]) -> bytes:
        connection = http.client.HTTPConnection(_HOST, self._port, timeout=60)
        try:
            cookies = f"sessionid={_session_key(user)}; csrftoken={_TOKEN}"
            connection.request(
                method, "/api/users/me/preferences/", body, {"Cookie": cookies, **headers}
            )
            answer = connection.getresponse()
            found = answer.read()
        finally:
            connection.close()
        if answer.status != http.HTTPStatus.OK:
            raise RequestFailed(answer.status, found)
        return found


@contextmanager
def served(bench: Bench, database: str, settings_module: str) -> Iterator[Client]:
    """A client of gunicorn with one worker, whose connection to the database stays open."""
    place = {**settings(bench.databases.address, database, OURS), "CONN_MAX_AGE": None}
    environ = {
        **environment(bench.databases.address, database),
        "PREFS_BENCHMARKS_DATABASE": json.dumps(place),
        "DJANGO_SETTINGS_MODULE": settings_module,
        "ALLOWED_HOSTS": _HOST,
    }
    with socket.create_server((_HOST, 0)) as listener:
        bound = f"fd://{listener.fileno()}"
        program = (
            "gunicorn",
            "--bind",
            bound,
            "--log-level",
            "warning",
            "project.wsgi:application",
        )
        with subprocess.Popen(
            [sys.executable, "-m", *program],
            cwd=ROOT,
            env=environ,
            pass_fds=[listener.fileno()],
        ) as process:
            try:
                yield Client(listener.getsockname()[1])
            finally:
                process.terminate()


def log_in(alias: str, keys: Sequence[Any]) -> None:
    """A session for each of these users, as logging in makes one; both sites read it."""
    until = timezone.now() + timedelta(days=1)
    store = SessionStore()
    users = get_user_model()._default_manager.using(alias).defer("preferences").in_bulk(keys)
    sessions = []
    for key, user in users.items():
        content = {
            SESSION_KEY: str(key),
            BACKEND_SESSION_KEY: _BACKEND,
            HASH_SESSION_KEY: user.get_session_auth_hash(),
        }
        data = store.encode(content)
        sessions.append(
            Session(session_key=_session_key(key), session_data=data, expire_date=until)
        )
    Session.objects.using(alias).bulk_create(sessions)


def _session_key(user: Any) -> str:
    return f"{user:0>32}"
