"""The settings page in Chromium, for people with and without a mouse, scripts, light and room."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import Page

from prefs.models import UserPreferences
from project.accounts.models import User
from tests.prefs.pages.browser import Driver, Site, Visit, axe, cookie, focused, served
from tests.support.databases import copies, site
from tests.support.needs import CHROMIUM, needs
from tests.support.steps import add_users

__all__ = ["copies", "site"]
pytestmark = [needs(CHROMIUM), pytest.mark.slow]
ADDRESS = "/preferences/"
SAVE = "button:has-text('Save changes')"
BEFORE = {"theme": "light", "items_per_page": 25, "notifications": {"push": {"messages": True}}}
ODD = {
    "theme": "<img src=x onerror=alert(1)>",
    "language": "\u202e" + "w" * 5000,
    "items_per_page": 10.0,
    "compact_mode": None,
    "notifications": {"email": ["x" * 400], "push": {"mentions": "true"}},
}
# Of whatever has the focus: whether a ring is drawn around it, and nothing covers it.
SEEN = """() => {
  const here = document.activeElement, ring = here.type == "radio" ? here.nextSibling : here;
  const {left, top, width, height} = ring.getBoundingClientRect();
  const drawn = getComputedStyle(ring);
  const above = document.elementFromPoint(left + width / 2, top + height / 2);
  return drawn.outlineStyle == "solid" && parseFloat(drawn.outlineWidth) >= 2
    && (above == ring || above == here || ring.contains(above));
}"""


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    opened = Driver()
    yield opened
    opened.close()


@pytest.fixture
def place(site: str, driver: Driver, settings: Any) -> Iterator[Site]:
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = False
    with served() as address:
        yield Site(address, driver)
    User._base_manager.all().delete()
    Session.objects.all().delete()


def person(document: Any) -> User:
    [key] = add_users(document)
    return User._base_manager.get(pk=key)


def document(user: User) -> Any:
    return UserPreferences.objects.document(user.pk)


def choice(page: Page, setting: str, answer: str) -> Any:
    group = page.get_by_role("radiogroup", name=setting, exact=True).first
    return group.get_by_role("radio", name=answer)


def tab_to(page: Page, identity: str) -> None:
    """Press Tab until it has the focus; all on the way can be seen."""
    for _ in range(60):
        page.keyboard.press("Tab")
        assert page.evaluate(SEEN), page.evaluate("document.activeElement.outerHTML")
        if focused(page) == identity:
            return
    pytest.fail(f"{identity} cannot be reached")


def paper(page: Page) -> str:
    """Whether the page is light or dark, by its own style."""
    colour: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    red = int(colour.removeprefix("rgb(").partition(",")[0])
    return "light" if red > 230 else "dark" if red < 40 else colour


def test_a_keyboard_is_enough_from_the_login_on(place: Site) -> None:
    user = person(BEFORE)
    user.set_password("a password")
    user.save()

    def act(visit: Visit) -> str:
        page = visit.page
        page.goto(ADDRESS)
        tab_to(page, "id_username")
        page.keyboard.type(user.username)
        tab_to(page, "id_password")
        page.keyboard.type("a password")
        page.keyboard.press("Enter")
        page.wait_for_selector("#id_theme_0")
        tab_to(page, "id_theme_0")
        page.keyboard.press("ArrowRight")
        tab_to(page, "id_items_per_page")
        page.keyboard.type("50")
        tab_to(page, "id_notifications.push.messages_0")
        page.keyboard.press("ArrowLeft")
        tab_to(page, "id_notifications.quiet_hours.end")
        page.keyboard.press("Enter")
        return page.get_by_role("status").inner_text()

    told = place.visited(None, act)
    assert told == "Saved: Theme; Items per page; Notifications / Push / Messages."
    assert document(user) == {"theme": "dark", "items_per_page": 50, "notifications": {"push": {}}}


def test_two_tabs_keep_what_each_of_them_changed(place: Site) -> None:
    user = person(BEFORE)

    def act(visit: Visit) -> None:
        first, second = visit.page, visit.tab()
        first.goto(ADDRESS)
        second.goto(ADDRESS)
        choice(first, "Theme", "Dark").check()
        first.click(SAVE)
        second.fill("#id_items_per_page", "100")
        second.click(SAVE)
        assert choice(second, "Theme", "Dark").is_checked()

    place.visited(user, act)
    assert document(user) == {**BEFORE, "theme": "dark", "items_per_page": 100}


def test_an_error_is_gone_to_from_the_summary_and_mended(place: Site) -> None:
    user = person(BEFORE)

    def act(visit: Visit) -> None:
        page = visit.page
        page.goto(ADDRESS)
        page.fill("#id_items_per_page", "many")
        choice(page, "Theme", "Dark").check()
        page.click(SAVE)
        assert page.title() == "Error: Preferences"
        assert page.evaluate("document.activeElement.role") == "alert"
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert focused(page) == "id_items_per_page"
        field = page.get_by_label("Items per page")
        assert field.get_attribute("aria-invalid") == "true"
        page.keyboard.press("ControlOrMeta+A")
        page.keyboard.type("100")
        page.keyboard.press("Enter")
        assert "Theme; Items per page" in page.get_by_role("status").inner_text()

    place.visited(user, act)
    assert document(user) == {**BEFORE, "theme": "dark", "items_per_page": 100}


def test_no_script_is_needed(place: Site) -> None:
    user = person(ODD)

    def act(visit: Visit) -> str:
        page = visit.page
        page.goto(ADDRESS)
        choice(page, "Compact mode", "Yes").check()
        page.fill("#id_language", "de")
        page.click(SAVE)
        return page.get_by_role("status").inner_text()

    told = place.visited(user, act, java_script_enabled=False)
    assert told == "Saved: Language; Compact mode."
    assert document(user) == {**ODD, "language": "de", "compact_mode": True}


# Contrast depends on the theme, room on the width.
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 320)])
def test_axe_finds_nothing_in_either_theme_and_nothing_is_cut_off(
    place: Site, scheme: Any, width: int
) -> None:
    user = person(ODD)

    def act(visit: Visit) -> None:
        page = visit.page
        page.goto("/accounts/login/")
        assert axe(page) == []
        assert paper(page) == scheme
        visit.context.add_cookies(cookies)  # type: ignore[arg-type]  # of playwright's
        page.goto(ADDRESS)
        page.fill("#id_items_per_page", "many")
        choice(page, "Security", "Yes").check()
        page.click(SAVE)
        assert page.get_by_text("There is a problem").is_visible()
        assert axe(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") == width
        page.fill("#id_items_per_page", "10")
        page.check("text=Replace it by the settings below")
        page.click(SAVE)
        assert page.get_by_role("status").is_visible()
        assert axe(page) == []

    cookies = [cookie(place.address, user)]
    place.visited(None, act, color_scheme=scheme, viewport={"width": width, "height": 800})


def test_what_axe_and_the_policy_are_for_would_be_noticed(place: Site) -> None:
    user = person(BEFORE)

    def act(visit: Visit) -> tuple[set[str], int]:
        page = visit.page
        page.goto(ADDRESS)
        page.evaluate("document.querySelectorAll('label').forEach(label => label.remove())")
        page.evaluate("document.body.style.color = '#ddd'")
        broken = {rule for rule, *_ in axe(page)}
        page.evaluate("document.body.setAttribute('style', 'color: red')")
        page.evaluate(
            "document.body.append(Object.assign(document.createElement('style'),"
            " {textContent: 'p {color: red}'}))"
        )
        noticed = len(visit.refused)
        visit.refused.clear()
        return broken, noticed

    broken, noticed = place.visited(user, act)
    assert broken >= {"label-title-only", "color-contrast"}
    assert noticed == 2
