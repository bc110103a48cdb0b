"""What people do on any page: sign in, find their way with the keyboard, turn to their phone."""

from playwright.sync_api import Locator, Page, expect

from tests.cast import ADA, PASSWORD, Person

WIDTHS = {1280: 800, 390: 844}


def sign_in(page: Page, person: Person = ADA) -> None:
    page.goto("/admin/")
    page.get_by_label("E-mail").fill(person.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Needs attention")).to_be_visible()


# What is focused, when one can press it: what it is called, and how the browser shows where one is.
FOCUSED = """() => {
    const here = document.activeElement;
    // Parts of a page that can be scrolled take the focus too.
    if (!here?.matches("a, button, summary")) return ["", ""];
    return [here.getAttribute("aria-label") ?? here.textContent, getComputedStyle(here).outlineStyle];
}"""


def tab_to(page: Page, name: str, *, whole: bool = False) -> None:
    """Press Tab until a link or button is focused that is called so, and see that one can see where one is.

    `whole`: its name ends there. An icon is a word too, and stands before it.
    """
    for _ in range(120):
        page.keyboard.press("Tab")
        text, outline = page.evaluate(FOCUSED)
        if text.strip().endswith(name) if whole else name in text:
            assert outline != "none", f"{name} shows no focus"
            return
    raise AssertionError(f"{name} cannot be reached with Tab.")


def focus_on(page: Page, selector: str) -> None:
    if page.evaluate("document.activeElement.id") != selector.lstrip("#"):
        page.keyboard.press("Tab")
    expect(page.locator(selector)).to_be_focused()


def here_in_menu(page: Page) -> Locator:
    """The menu's entry of this page."""
    return page.locator("#nav-sidebar-apps [aria-current=page]")


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    page.wait_for_function("!document.documentElement.hasAttribute('x-cloak')")
    return int(page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


def press(page: Page, name: str, *, whole: bool = False) -> None:
    """Go to a link or button with Tab, press Enter, and be where it leads."""
    tab_to(page, name, whole=whole)
    with page.expect_navigation():
        page.keyboard.press("Enter")


def follow(page: Page, target: Locator) -> None:
    """Click on a link or button, and be where it leads."""
    with page.expect_navigation():
        target.click()


def write(field: Locator, text: str) -> None:
    """Type into a field that Tab has reached."""
    field.focus()
    field.press("Control+a")
    field.press_sequentially(text)


def fits(page: Page) -> None:
    """On a desk and on a phone the page is no wider than its window."""
    for width, height in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": height})
        assert overflow(page) == 0, f"{page.url} at {width}"
    page.set_viewport_size({"width": 1280, "height": 800})


def reload_until(page: Page, locator: Locator, *, tries: int = 60) -> None:
    """Look again, as one would who waits for a worker, until there is what `locator` finds."""
    for _ in range(tries):
        if locator.count():
            return
        page.wait_for_timeout(250)
        page.reload()
    raise AssertionError(f"It did not come: {page.locator('#content').inner_text()[:2000]}")
