"""The pages in a real browser, from a real server: whole, alive, without a mouse, for everyone.

The home is furnished by the same actions that the doors call; what changes while a page is open
is changed by this process, which is another one than the server's.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from urllib.parse import urljoin

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

import listening
import nursery
from doors import furnishing
from homeostat.doors.cli import ports
from homeostat.doors.web import rendering, site
from homeostat.foundation import house, settings
from homeostat.lifecycle.loop import actions as loop
from homeostat.lifecycle.monitoring import alerts
from homeostat.lifecycle.tracking import actions as tracking

HOST = "127.0.0.1"
READY_S = 90
PATIENCE_MS = 60_000
WIDE = {"width": 1280, "height": 800}
NARROW = {"width": 390, "height": 800}
MOST_STOPS = 80
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
COLOURFUL = ("/", "/deployments/credit", "/models/credit/versions/2", "/runs", "/alerts")
VERIFIED = "/audit?verify=yes"
CONTRAST = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path to open pages in"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory, migrated_file):
    folder = tmp_path_factory.mktemp("pages") / "home"
    folder.mkdir(mode=0o700)
    shutil.copyfile(migrated_file, folder / "homeostat.db")
    return folder


@pytest.fixture(scope="module")
def opened(home):
    """The furnished house, open in this process beside the server's."""
    with house.open_house(settings.Settings(home=home)) as one:
        furnishing.furnish(one)
        yield one


@pytest.fixture(scope="module")
def url(home, opened):
    """The address of a server process over the furnished home."""
    port = listening.port()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HOMEOSTAT_")}
    told = home.parent / "server.log"
    with told.open("wb") as lines:
        process = nursery.start(
            ["server", "--port", str(port)],
            environment={**environment, "HOMEOSTAT_HOME": str(home)},
            folder=home.parent,
            stderr=lines,
        )
    deadline = time.monotonic() + READY_S
    while not ports.is_well(HOST, port):
        assert process.poll() is None, told.read_text(encoding="utf-8")
        assert time.monotonic() < deadline, "the server did not come up"
    yield f"http://{HOST}:{port}"
    process.send_signal(signal.SIGTERM)
    process.wait(READY_S)


@pytest.fixture(scope="module")
def addresses(url):
    """One address for every page of the site, found by following links."""
    wanted = {
        page.path: re.compile(re.sub(r"\{\w+(:int)?\}", "[^/?#]+", page.path))
        for page in site.Site.pages
        if page.method == "GET" and not page.path.startswith("/static")
    }
    found: dict[str, str] = {"/": "/"}
    todo = ["/"]
    with httpx.Client(
        base_url=url, headers={"accept": "text/html"}, follow_redirects=True
    ) as http:
        runs = http.get("/runs").text
        parent = re.search(r'href="/runs/(\w+)"><strong>ordinary-owl-7', runs)[1]
        far = re.search(r'href="(/runs/\w+)"><strong><span', runs)[1]
        todo += [f"/runs/{parent}", "/models/credit/versions/2"]
        while todo:
            path = todo.pop(0)
            text = http.get(path).raise_for_status().text
            for link in re.findall(r'href="([^"#]+)"', text):
                whole = urljoin(path, link)
                for pattern, compiled in wanted.items():
                    if pattern not in found and compiled.fullmatch(whole):
                        found[pattern] = whole
                        todo.append(whole)
    assert set(found) == set(wanted)
    logged = (f"/runs/{parent}", f"/runs?parent={parent}", far)
    deleted = "/runs?experiment=2"
    return [*found.values(), *logged, deleted, "/models/forest/versions/4", VERIFIED]


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*QUIET], timeout=2 * PATIENCE_MS
        )
        yield one
        one.close()


@pytest.fixture
def page(browser, url):
    """A page of a fresh browser; at the end nothing in it may have gone wrong."""
    context = browser.new_context(base_url=url, viewport=WIDE, color_scheme="light")
    context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    one = context.new_page()
    wrong: list[str] = []
    one.on("console", lambda said: wrong.append(said.text) if _is_bad(said) else None)
    one.on("pageerror", lambda error: wrong.append(str(error)))
    one.on("requestfailed", lambda asked: wrong.append(asked.url) if _is_lost(asked) else None)
    one.on("response", lambda got: wrong.append(got.url) if got.status >= 400 else None)
    yield one
    context.close()
    assert wrong == []


def _is_bad(said):
    """A breach of the content security policy is told on the console, as an error."""
    return said.type in ("error", "warning")


def _is_lost(asked):
    """What a page still asked for when it was left is not lost."""
    return asked.failure != "net::ERR_ABORTED"


def _flaws(page, **how):
    found = Axe().run(page, **how).response["violations"]
    return [(one["id"], [node["html"] for node in one["nodes"]]) for one in found]


def _connect(page, path):
    """Open a page and wait until it listens to the server."""
    page.goto(path)
    expect(page.locator(".live")).to_have_text("live")


def _tab_to(page, selector):
    """Press Tab until the element has the focus; return how often."""
    for pressed in range(1, MOST_STOPS):
        page.keyboard.press("Tab")
        if page.evaluate("chosen => document.activeElement.matches(chosen)", selector):
            return pressed
    raise AssertionError(f"Tab does not reach {selector}")


def test_every_page_passes_axe(page, addresses):
    flaws = {}
    for path in addresses:
        page.goto(path)
        flaws[path] = _flaws(page)
    assert flaws == {path: [] for path in addresses}


def test_words_stand_out_in_the_dark_too(page):
    page.emulate_media(color_scheme="dark")
    flaws = {}
    for path in COLOURFUL:
        page.goto(path)
        flaws[path] = _flaws(page, options=CONTRAST)
    assert flaws == {path: [] for path in COLOURFUL}


def test_no_page_is_wider_than_a_telephone(page, addresses):
    page.set_viewport_size(NARROW)
    too_wide = {}
    for path in addresses:
        page.goto(path)
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > NARROW["width"]:
            too_wide[path] = width
    assert too_wide == {}


def test_no_name_takes_the_room_of_the_other_columns(page):
    page.goto("/runs")
    widths = page.evaluate("[...document.querySelectorAll('th')].map(one => one.offsetWidth)")
    assert max(widths) < WIDE["width"] / 3


def test_a_picture_of_a_run_is_shown_and_a_file_is_downloaded(page):
    page.goto("/runs")
    page.get_by_role("link", name="ordinary-owl-7").last.click()
    shown = page.get_by_role("img", name="plots/roc curve.png")
    shown.scroll_into_view_if_needed()
    page.wait_for_function("one => one.naturalWidth === 64", arg=shown.element_handle())
    with page.expect_download() as told:
        page.get_by_role("link", name="notes.txt").click()
    assert told.value.suggested_filename == "notes.txt"
    assert told.value.path().read_bytes() == b"n"


def test_an_alert_opened_elsewhere_appears_by_itself(page, opened):
    _connect(page, "/alerts")
    sentence = "region has a category that training never saw"
    opened.write(
        lambda tx: alerts.open_alert(
            tx,
            furnishing.LOOP,
            deployment="credit",
            kind="new-category",
            cause="feed",
            column="region",
            sentence=sentence,
        )
    )
    expect(page.get_by_text(sentence)).to_be_visible()


def test_a_run_begun_elsewhere_appears_and_finishes_by_itself(page, opened):
    _connect(page, "/runs")
    made = opened.write(lambda tx: tracking.create_run(tx, furnishing.ADA, name="by night"))
    row = page.get_by_role("row").filter(has_text="by night")
    expect(row).to_contain_text("running")
    opened.write(lambda tx: tracking.finish_run(tx, furnishing.ADA, made.id))
    expect(row).to_contain_text("finished")


def test_a_page_that_renews_itself_keeps_the_focus(page, opened):
    _connect(page, "/runs")
    link = page.get_by_role("link", name="first fit")
    link.focus()
    opened.write(lambda tx: tracking.create_run(tx, furnishing.ADA, name="meanwhile"))
    expect(page.get_by_role("link", name="meanwhile")).to_be_visible()
    expect(link).to_be_focused()


def test_tab_reaches_the_page_and_every_entry_of_the_navigation(page):
    page.goto("/deployments")
    assert _tab_to(page, "a.skip") == 1
    for path, _ in rendering.NAVIGATION:
        _tab_to(page, f'nav.side li a[href="{path}"]')
    page.keyboard.press("Enter")
    page.wait_for_url("**/audit")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_an_alert_is_acknowledged_by_the_enter_key(page, opened):
    found = opened.read(
        lambda tx: next(
            one
            for one in alerts.list_alerts(tx, furnishing.ADA, states=("open",))
            if one.kind == "harm"
        )
    )
    page.goto(f"/alerts/{found.id}")
    _tab_to(page, "#acknowledge")
    page.keyboard.press("Enter")
    expect(page.locator(".badge").first).to_have_text("acknowledged")
    again = opened.read(lambda tx: alerts.get_alert(tx, furnishing.ADA, found.id))
    assert again.state == "acknowledged"


def test_a_decision_is_recomputed_by_the_enter_key(page, opened):
    found = opened.read(
        lambda tx: loop.list_decisions(tx, furnishing.ADA, kinds=("quarantine",))[0]
    )
    page.goto(f"/decisions/{found.id}")
    _tab_to(page, "#replay")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Yes, to the bit.")).to_be_visible()


def test_the_log_is_verified_from_its_page(page):
    page.goto("/audit")
    page.get_by_role("button", name="Verify it now").click()
    expect(page.get_by_text("The log is whole.")).to_be_visible()


def test_how_long_ago_something_was_is_told_the_same_by_server_and_page(page):
    page.goto("/audit")
    assert page.locator("time .ago").count() > 0
    page.clock.install()
    page.reload()
    page.clock.run_for(2 * 3_600_000)
    expect(page.locator("time .ago").first).to_have_text("2 h ago")


@pytest.mark.parametrize(
    ("printed", "meant"),
    [
        ("/#/experiments/0/runs/0123abcd", "/runs/0123abcd"),
        ("/#/experiments/1/models/m-0123", "/logged-models/m-0123"),
        ("/#/models/forest/versions/2", "/models/forest/versions/2"),
        ("/#/models/my%20forest", "/models/my%20forest"),
        (
            "/#/models/%2f%2Fevil.example%2fx/versions/1",
            "/models/%2F%2Fevil.example%2Fx/versions/1",
        ),
        ("/#/experiments/0", "/runs?experiment=0"),
        ("/#/experiments/0/traces", "/runs?experiment=0"),
        ("/#/experiments/0%26after=x", "/runs?experiment=0%26after%3Dx"),
        ("/#/experiments", "/runs"),
    ],
)
def test_a_link_that_mlflow_prints_leads_to_the_page_of_the_same_thing(
    browser, url, printed, meant
):
    context = browser.new_context(base_url=url)
    page = context.new_page()
    asked = []
    page.on("request", lambda one: asked.append(one.url))
    page.goto(printed)
    page.wait_for_url(lambda where: "#" not in where)
    assert url + meant in asked
    assert all(one.startswith(url + "/") for one in asked)
    context.close()
