"""The admin in a real browser, served by a real process: one way through, as an operator goes."""

from __future__ import annotations

import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from playwright.sync_api import Page, sync_playwright

from prefs.engine.states import State
from prefs.models import AuditEntry, Transition
from prefs.routing import DUAL_WRITE, READ_TABLES
from tests.prefs.switches.turning import ADMIN, LIST
from tests.support import scratch
from tests.support.needs import CHROMIUM, chromium, needs
from tests.support.steps import add_users, in_thread, state, until

pytestmark = needs(CHROMIUM)


def free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/admin/login/", timeout=5):
            return True
    except OSError:
        return False


@pytest.fixture
def served(site: str) -> Iterator[str]:
    """The address of a server of `site`."""
    address = f"127.0.0.1:{free_port()}"
    environ = {**scratch.environment(site), "DEBUG": "on", "ALLOWED_HOSTS": "127.0.0.1"}
    command = [sys.executable, "manage.py", "runserver", "--noreload", address]
    with subprocess.Popen(command, cwd=scratch.ROOT, env=environ) as process:
        try:
            until(lambda: answers(f"http://{address}"), 30)
            yield f"http://{address}"
        finally:
            process.kill()
    get_user_model()._default_manager.all().delete()
    Session.objects.all().delete()


@contextmanager
def browser_at(address: str) -> Iterator[Page]:
    """A page of a browser, which fails the test where the page's own scripts fail."""
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page(base_url=address)
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        browser.close()
    assert errors == []


def log_in(page: Page) -> None:
    page.goto("/admin/")
    page.fill("#id_username", ADMIN)
    page.fill("#id_password", "a password")
    page.click("input[type=submit]")


def choose(page: Page, name: str, action: str) -> None:
    page.goto(LIST)
    page.check(f"tr:has-text('{name}') input.action-select")
    page.select_option("select[name=action]", action)
    page.click("button[name=index]")


def walk(address: str) -> dict[str, str]:
    """What the pages say, one after the other."""
    told = {}
    with browser_at(address) as page:
        log_in(page)
        choose(page, READ_TABLES, "enable_switches")
        told["refused"] = page.inner_text(".messagelist .error")
        choose(page, DUAL_WRITE, "delete_individually")
        told["deleted"] = page.inner_text(".messagelist .error")
        choose(page, DUAL_WRITE, "enable_switches")
        told["turned"] = page.get_attribute(f"tr:has-text('{DUAL_WRITE}') img", "alt") or ""
        page.click(f"a:has-text('{READ_TABLES}')")
        page.check("#id_active")
        page.click("input[name=_save]")
        told["gate"] = page.inner_text(".messagelist .error")
        page.goto("/admin/prefs/auditentry/")
        told["audit"] = page.inner_text("#result_list")
    return told


def test_an_operator_is_refused_turns_one_and_reads_the_audit(site: str, served: str) -> None:
    add_users({"theme": "dark"})
    get_user_model()._default_manager.create_superuser(ADMIN, password="a password")
    # Its loop would have Django think that this thread is asynchronous.
    found = in_thread(lambda: walk(served)).result(90)
    assert "Cannot advance from expanded to mirror_off" in found["refused"]
    assert "cannot be deleted" in found["deleted"]
    assert found["turned"] == "True"
    assert "Run manage.py" in found["gate"].replace("`", "")
    assert "expanded to dual_write" in found["audit"]
    assert (state(), Transition.objects.get().actor) == (State.DUAL_WRITE, ADMIN)
    events = list(AuditEntry.objects.order_by("id").values_list("event", flat=True))
    assert events == ["refusal", "refusal", "transition", "settled", "refusal"]
