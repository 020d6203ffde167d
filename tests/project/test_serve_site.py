"""`manage.py serve_site`: a site to log in to, with two accounts, on a database that is kept."""

from __future__ import annotations

import re
import signal
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar

import pytest

from tests.support import forked, scratch

STOPPED = {signal.SIGINT: 130, signal.SIGTERM: 143}


@dataclass
class Served:
    """A site at work: its process, and what it said."""

    process: forked.Process
    address: str
    passwords: dict[str, str]
    users: int

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def browser_of(self, name: str) -> urllib.request.OpenerDirector:
        """Somebody who has logged in on the page that asks for it."""
        jar = CookieJar()
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        self.page(browser, "/accounts/login/")
        [token] = [cookie.value for cookie in jar if cookie.name == "csrftoken"]
        form = {
            "username": name,
            "password": self.passwords[name],
            "csrfmiddlewaretoken": token or "",
        }
        body = urllib.parse.urlencode(form).encode()
        with browser.open(f"{self.address}/accounts/login/", body, timeout=20) as answer:
            assert answer.url == f"{self.address}/preferences/"
        return browser

    def page(self, browser: urllib.request.OpenerDirector, path: str) -> str:
        with browser.open(self.address + path, timeout=20) as answer:
            return str(answer.read().decode())


def environment(database: str) -> dict[str, str]:
    return {**scratch.environment(database), "DEBUG": "on", "ALLOWED_HOSTS": "127.0.0.1"}


@contextmanager
def served(database: str) -> Iterator[Served]:
    with scratch.start(environment(database), "serve_site", "--port", "0") as process:
        told = ""
        try:
            while "Ctrl-C stops the site" not in told:
                line = process.stdout.readline()
                assert line, process.stderr.read()
                told += line
            [address] = re.findall(r"The reference site is at (http://[\d.:]+)/", told)
            passwords = dict(re.findall(r"^  (operator|user) +(\S+)$", told, re.MULTILINE))
            [users] = re.findall(r"^(\d+) users", told, re.MULTILINE)
            yield Served(process, address, passwords, int(users))
        finally:
            process.kill()


def stopped(site: Served, database: str, number: signal.Signals) -> None:
    site.process.send_signal(number)
    assert site.process.wait(20) == STOPPED[number]
    with socket.socket() as left:
        assert left.connect_ex(("127.0.0.1", site.port)) != 0
    with scratch.connect(database) as session:
        others = session.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert others.fetchone() == (0,)


def test_it_serves_an_operator_and_a_user_and_is_the_same_site_the_next_time() -> None:
    with scratch.database() as database:
        with served(database) as first:
            user = first.browser_of("user")
            assert "Save changes" in first.page(user, "/preferences/")
            assert "Site administration" not in first.page(user, "/admin/")
            operator = first.browser_of("operator")
            assert '"theme"' in first.page(user, "/api/users/me/preferences/")
            assert "Site administration" in first.page(operator, "/admin/")
            assert ".prefs-group" in first.page(user, "/static/prefs/pages.css")
            assert first.users == 1_002
            stopped(first, database, signal.SIGINT)
        with served(database) as second:
            assert second.users == 1_002
            assert set(second.passwords.values()).isdisjoint(first.passwords.values())
            assert "Site administration" in second.page(second.browser_of("operator"), "/admin/")
            stopped(second, database, signal.SIGTERM)


def test_a_port_that_is_taken_is_named_with_what_to_do() -> None:
    with socket.socket() as other, scratch.database() as database:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ended = scratch.manage(environment(database), "serve_site", "--port", str(port))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"Port {port} of 127.0.0.1 is taken. Nothing was done." in ended.stderr
    assert "make serve PORT=8001" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_what_is_no_port_is_a_mistake_of_usage(port: str) -> None:
    ended = scratch.manage(environment("none"), "serve_site", "--port", port)
    assert (ended.returncode, "invalid port value" in ended.stderr) == (2, True)


def test_a_real_site_gets_no_made_up_users_and_no_passwords() -> None:
    environ = environment("none") | {
        "DEBUG": "off",
        "DATABASE_URL": "postgres://127.0.0.1/none",
        "SECRET_KEY": "x" * 50,
    }
    ended = scratch.manage(environ, "serve_site", "--port", "0")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "DEBUG is off" in ended.stderr
