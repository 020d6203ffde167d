"""Settings: unsafe combinations end in a sentence that says what to set."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
URL = "postgres://ada:secret@db.example.com:6543/site"
PRINT = """
import json
from project import settings as s
print(json.dumps({"DEBUG": s.DEBUG, "SECRET_KEY": s.SECRET_KEY, "DB": s.DATABASES["default"],
                  "SECURE": s.SESSION_COOKIE_SECURE}))
"""


def load(**environ: str) -> "subprocess.CompletedProcess[str]":
    # Empty rather than absent: a developer's .env fills in what is absent.
    clean = {"DATABASE_URL": "", "SECRET_KEY": "", **environ}
    return subprocess.run(
        [sys.executable, "-c", PRINT],
        cwd=ROOT,
        env={**{key: value for key, value in os.environ.items() if key != "DEBUG"}, **clean},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_database_url_the_embedded_server_and_debug_are_on() -> None:
    loaded = json.loads(load().stdout)
    assert loaded["DEBUG"] is True
    assert loaded["DB"]["ENGINE"] == "project.embedded"
    assert loaded["SECRET_KEY"]


def test_a_database_url_turns_debug_off_and_cookies_secure() -> None:
    loaded = json.loads(load(DATABASE_URL=URL, SECRET_KEY="k").stdout)
    assert loaded["DEBUG"] is False
    assert loaded["SECURE"] is True
    assert loaded["DB"]["ENGINE"] == "django.db.backends.postgresql"
    assert (loaded["DB"]["HOST"], loaded["DB"]["PORT"]) == ("db.example.com", 6543)


@pytest.mark.parametrize("url", ["", URL, f"{URL}?application_name=other&sslmode=require"])
def test_our_connections_always_name_themselves(url: str) -> None:
    loaded = json.loads(load(DATABASE_URL=url, SECRET_KEY="k").stdout)
    assert loaded["DB"]["OPTIONS"]["application_name"] == "prefs"


def test_options_in_the_url_are_kept() -> None:
    loaded = json.loads(load(DATABASE_URL=f"{URL}?sslmode=require", SECRET_KEY="k").stdout)
    assert loaded["DB"]["OPTIONS"]["sslmode"] == "require"


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"DATABASE_URL": URL}, "SECRET_KEY is not set, and DEBUG is off"),
        ({"DEBUG": "off"}, "set DATABASE_URL=postgres://user:password@host/name, or DEBUG=on"),
        (
            {"DATABASE_URL": "sqlite:///x.db", "SECRET_KEY": "k"},
            "DATABASE_URL must name a PostgreSQL server",
        ),
    ],
)
def test_an_unsafe_combination_says_what_to_set(environ: dict[str, str], sentence: str) -> None:
    done = load(**environ)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("django.core.exceptions.ImproperlyConfigured")
    assert sentence in last


def test_manage_prints_the_sentence_and_no_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": URL, "SECRET_KEY": "", "DEBUG": "off"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("SECRET_KEY is not set")
    assert len(done.stderr.splitlines()) == 1


def test_importing_the_settings_starts_no_server() -> None:
    program = (
        "import sys, project.settings; sys.exit('project.embedded.server' in sys.modules"
        " or 'psycopg' in sys.modules)"
    )
    environ = {**os.environ, "DATABASE_URL": ""}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environ, check=False)
    assert done.returncode == 0
