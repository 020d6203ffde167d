"""The site in a real browser, under a policy that allows nothing inline, and looked at by axe."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import axe_playwright_python
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from project.accounts.models import User
from tests.support.needs import chromium

T = TypeVar("T")
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)
AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")
# What axe finds: the rule, and the elements.
FOUND = """() => axe.run().then(result => result.violations.map(
    violation => [violation.id, ...violation.nodes.map(node => node.html)]))"""


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Nothing: the pages say it."""


def _with_policy(application: Any) -> Callable[..., Any]:
    def answer(environ: dict[str, Any], start_response: Any) -> Any:
        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, [*headers, ("Content-Security-Policy", POLICY)], *rest)

        return application(environ, start)

    return answer


@contextmanager
def served() -> Iterator[str]:
    """The address of the site, in threads of this process."""
    with ThreadedWSGIServer(("127.0.0.1", 0), _Quiet) as server:
        server.set_app(_with_policy(StaticFilesHandler(WSGIHandler())))
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Driver:
    """A browser in a thread of its own: its loop would have Django think ours asynchronous."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._playwright = self.run(lambda: sync_playwright().start())
        self._browser: Browser = self.run(
            lambda: self._playwright.chromium.launch(
                executable_path=chromium(), args=["--no-sandbox"]
            )
        )

    def run(self, work: Callable[[], T]) -> T:
        """Do something with it there."""
        return self._thread.submit(work).result(60)

    def close(self) -> None:
        """End it."""
        self.run(self._browser.close)
        self.run(self._playwright.stop)
        self._thread.shutdown()

    def context(self, **options: Any) -> BrowserContext:
        """A window of its own, with its own cookies; in the browser's thread."""
        return self._browser.new_context(**options)


@dataclass
class Visit:
    """Somebody in a window; `refused` is what the policy kept from the page."""

    context: BrowserContext
    page: Page
    refused: list[str] = field(default_factory=list)

    def tab(self) -> Page:
        """One more page of the window."""
        return self.watched(self.context.new_page())

    def watched(self, page: Page) -> Page:
        """The page, with what it is refused noted."""
        page.on("console", self._note)
        return page

    def _note(self, message: Any) -> None:
        if "Content Security Policy" in message.text:
            self.refused.append(message.text)


@dataclass
class Site:
    """The site at an address, and a browser to go there."""

    address: str
    driver: Driver

    def visited(self, by: User | None, act: Callable[[Visit], T], **options: Any) -> T:
        """What `act` finds out; fails where the page was kept from anything."""
        cookies = [cookie(self.address, by)] if by else []

        def visit() -> T:
            context = self.driver.context(base_url=self.address, **options)
            context.set_default_timeout(10_000)
            context.add_cookies(cookies)  # type: ignore[arg-type]  # a TypedDict of playwright's
            try:
                visit = Visit(context, context.new_page())
                visit.watched(visit.page)
                found = act(visit)
                assert visit.refused == []
                return found
            finally:
                context.close()

        return self.driver.run(visit)


def cookie(address: str, user: User) -> dict[str, str]:
    """What a browser keeps of somebody who has logged in."""
    client = Client()
    client.force_login(user)
    return {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": address}


def axe(page: Page) -> list[list[str]]:
    """What axe finds wrong with a page: each rule with the elements that break it."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[list[str]] = page.evaluate(FOUND)
    return found


def focused(page: Page) -> str:
    """The id of what has the focus."""
    found: str = page.evaluate("document.activeElement.id")
    return found
