"""The page that plan_prefs --format html writes, in Chromium, in both themes and on a telephone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prefs.engine.states import State
from tests.prefs.pages.browser import Driver, axe
from tests.support.needs import CHROMIUM, needs
from tests.support.running import run
from tests.support.steps import add_users, go

pytestmark = [needs(CHROMIUM), pytest.mark.slow]


@pytest.fixture
def driver() -> Iterator[Driver]:
    opened = Driver()
    yield opened
    opened.close()


def test_axe_finds_nothing_and_nothing_is_cut_off(
    site: str, driver: Driver, tmp_path: Path
) -> None:
    add_users({"theme": "purple"})
    go(State.READ_CUTOVER)
    file = tmp_path / "plan.html"
    file.write_text(run("plan_prefs", "--format", "html").out)

    def seen(scheme: Any, width: int) -> tuple[list[list[str]], int]:
        with driver.context(
            color_scheme=scheme, viewport={"width": width, "height": 800}
        ) as context:
            page = context.new_page()
            page.goto(file.as_uri())
            return axe(page), page.evaluate("document.documentElement.scrollWidth")

    for scheme, width in (("light", 1280), ("dark", 320)):
        found = driver.run(lambda scheme=scheme, width=width: seen(scheme, width))  # type: ignore[misc]
        assert found == ([], width)
