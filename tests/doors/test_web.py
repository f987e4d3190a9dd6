"""The pages: whole, safe, readable by machines and people, and true to what is stored."""

from __future__ import annotations

import asyncio
import importlib.util
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urldefrag, urljoin, urlsplit

import httpx
import pytest

from homeostat.doors import local
from homeostat.doors.web import charts, rendering, site
from homeostat.foundation import house, settings
from homeostat.lifecycle import policy
from homeostat.lifecycle.loop import actions as loop
from homeostat.lifecycle.loop import entities
from homeostat.lifecycle.monitoring import alerts
from homeostat.lifecycle.registry import actions as registry

HERE = Path(__file__).parent
BASE = "http://localhost"
VOID = {"meta", "link", "img", "input", "br", "hr"}


@pytest.fixture(scope="module")
def furnishing():
    spec = importlib.util.spec_from_file_location("furnishing", HERE / "furnishing.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def furnished(tmp_path_factory, furnishing):
    told = settings.Settings(home=tmp_path_factory.mktemp("furnished") / "home")
    with house.open_house(told) as opened:
        furnishing.furnish(opened)
        yield opened


@pytest.fixture(scope="module")
def ask(furnished):
    """Return a function that asks the application for a page."""
    app = local.build(furnished)

    def asking(path, *, method="GET", **headers):
        async def inside():
            carrying = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=carrying, base_url=BASE) as http:
                return await http.request(
                    method, path, headers={"accept": "text/html", **headers}
                )

        return asyncio.run(inside())

    yield asking
    app.close()


class Parsed(HTMLParser):
    """Collects what the claims below are about, and refuses tags that do not close."""

    def __init__(self, text):
        super().__init__()
        self.links: list[str] = []
        self.downloads: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        given = dict(attrs)
        self.attributes.append((tag, given))
        if tag == "a" and "download" in given:
            self.downloads.append(given["href"])
        elif tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if given.get("id"):
            self.ids.append(given["id"])
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag):
        assert self._open, f"</{tag}> was never opened"
        assert self._open[-1] == tag, f"</{tag}> closes <{self._open[-1]}>"
        self._open.pop()

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def every_page(ask):
    """Follow every link from the first page until nothing new is found."""
    found: dict[str, Parsed] = {}
    todo = ["/"]
    while todo:
        path = todo.pop()
        if path in found:
            continue
        reply = ask(path)
        assert reply.status_code == 200, f"{path}: {reply.text[:300]}"
        found[path] = Parsed(reply.text)
        for link in found[path].links:
            whole = urldefrag(urljoin(BASE + path, link)).url
            if urlsplit(whole).netloc == urlsplit(BASE).netloc:
                todo.append(whole.removeprefix(BASE))
    return found


def test_every_link_of_every_page_leads_somewhere(every_page):
    assert len(every_page) > 20


def test_every_kind_of_page_is_reached_by_links_alone(every_page):
    reached = {path.partition("?")[0] for path in every_page}
    for page in site.Site.pages:
        if page.method != "GET" or page.path.startswith("/static"):
            continue
        fixed = page.path.partition("{")[0]
        assert any(path.startswith(fixed) for path in reached), page.path


def test_pages_have_one_heading_a_title_a_language_and_one_main(every_page):
    for path, page in every_page.items():
        counted = [page.tags.count(tag) for tag in ("h1", "title", "main", "nav")]
        assert counted[:3] == [1, 1, 1], path
        assert counted[3] >= 1, path
        assert dict(page.attributes)["html"].get("lang") == "en", path


def test_nothing_is_inline_so_that_the_policy_can_be_strict(every_page):
    for path, page in every_page.items():
        for tag, given in page.attributes:
            assert "style" not in given, (path, tag)
            assert not any(name.startswith("on") for name in given), (path, tag)
            assert tag != "style", path
            assert tag != "script" or given.get("src"), path


def test_pictures_say_in_words_what_they_show(every_page):
    for path, page in every_page.items():
        for tag, given in page.attributes:
            if tag == "svg":
                assert given.get("aria-hidden") or given.get("aria-label"), path
            if tag == "img":
                assert "alt" in given, path


def test_ids_are_unique_on_a_page(every_page):
    for path, page in every_page.items():
        assert len(set(page.ids)) == len(page.ids), path


def test_pages_forbid_what_they_do_not_need(ask):
    headers = ask("/").headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-frame-options"] == "DENY"


def test_home_tells_which_deployment_is_harmed(every_page):
    assert "Something is wrong" in every_page["/"].text
    assert "0.33 of the answers are wrong" in every_page["/"].text


def test_a_deployment_shows_its_traffic(every_page):
    told = every_page["/deployments/credit"].text
    assert "stable 75 %" in told
    assert "canary 25 %" in told
    assert "2,000 to 2,199" in told


def test_a_version_shows_its_gates_and_who_approved_it(every_page):
    told = every_page["/models/credit/versions/2"].text
    assert "disparate_impact" in told
    assert "ada approved" in told


def test_a_decision_can_be_recomputed_on_its_page(ask, furnished, furnishing):
    found = furnished.read(
        lambda tx: loop.list_decisions(tx, furnishing.ADA, kinds=("quarantine",))
    )
    assert "Yes, to the bit" in ask(f"/decisions/{found[0].id}?replay=yes").text


def test_a_report_says_whether_its_signature_holds(every_page):
    told = [page.text for path, page in every_page.items() if path.startswith("/reports/")]
    assert told
    assert all("signature holds" in one for one in told)


def test_a_report_on_an_exam_that_was_sent_says_whose_word_it_is(every_page):
    told = [page.text for path, page in every_page.items() if path.startswith("/reports/")]
    assert told
    assert all("its numbers are the word of ada" in text for text in told)


def test_the_log_can_be_read_for_approvals_alone(ask):
    told = Parsed(ask("/audit?only=approvals").text).text
    assert "version.approved" in told
    assert "run.started" not in told


def test_a_failed_run_says_why(every_page):
    assert any("KeyError: 'incme'" in page.text for page in every_page.values())


def test_what_is_not_there_is_a_page_too(ask):
    reply = ask("/models/nothing")
    assert reply.status_code == 404
    assert "no model" in Parsed(reply.text).text


def test_names_are_escaped(ask):
    reply = ask("/audit?subject=<script>alert(1)</script>")
    assert "<script>alert" not in reply.text


@pytest.mark.parametrize(
    "path",
    [
        "/alerts?state=x",
        "/decisions?kind=x",
        "/audit?before=x",
        "/audit?only=x",
        "/models/credit?before=x",
    ],
)
def test_a_malformed_address_is_refused_in_one_sentence(ask, path):
    assert ask(path).status_code == 422


def test_an_alert_is_acknowledged_from_its_page(ask, furnished, furnishing):
    found = furnished.read(lambda tx: alerts.list_alerts(tx, furnishing.ADA, states=("open",)))
    path = f"/alerts/{found[0].id}/acknowledge"
    assert ask(path, method="POST", origin="http://evil.example").status_code == 403
    reply = ask(path, method="POST", origin=BASE)
    assert (reply.status_code, reply.headers["location"]) == (303, f"/alerts/{found[0].id}")
    again = furnished.read(lambda tx: alerts.get_alert(tx, furnishing.ADA, found[0].id))
    assert again.state == "acknowledged"


def test_a_version_is_approved_from_its_page(ask, furnished, furnishing):
    reply = ask("/models/credit/versions/3/approve", method="POST", origin=BASE)
    assert reply.status_code == 303, reply.text
    found = furnished.read(lambda tx: registry.get_version(tx, furnishing.ADA, "credit", 3))
    assert found.status == "approved"


def test_an_alert_tells_what_was_done_while_it_stood(ask, furnished, furnishing):
    told = {"deployment": "credit", "kind": "volume", "cause": "unknown", "sentence": "few"}
    alert = furnished.write(lambda tx: alerts.open_alert(tx, furnishing.LOOP, **told))
    assert "Nothing had to be done yet" in ask(f"/alerts/{alert.id}").text
    broken = entities.WindowJudged(
        first_row=9000,
        end_row=9200,
        findings=(("stuck", "region"),),
        causes=(entities.SeenCause(kind="feed", column="region", share=0.9),),
        broken=((9000, 9200),),
    )
    rules = policy.parse(furnishing.POLICY)
    furnished.write(lambda tx: loop.apply_event(tx, furnishing.LOOP, "credit", broken, rules))
    assert "quarantine" in Parsed(ask(f"/alerts/{alert.id}").text).text
    furnished.write(lambda tx: alerts.resolve_alert(tx, furnishing.LOOP, alert.id))


@pytest.mark.parametrize("name", ["app.css", "live.js", "icon.svg"])
def test_static_files_are_served(ask, name):
    assert ask(f"/static/{name}").status_code == 200


@pytest.mark.parametrize("name", ["..%2fsite.py", "nothing.css", "app"])
def test_nothing_else_is_served_as_a_file(ask, name):
    assert ask(f"/static/{name}").status_code == 404


def test_an_empty_house_says_how_to_begin(app):
    async def inside():
        carrying = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=carrying, base_url=BASE) as http:
            return [await http.get(path) for path, _ in rendering.NAVIGATION]

    replies = asyncio.run(inside())
    assert [reply.status_code for reply in replies] == [200] * len(replies)
    assert "homeostat init" in replies[0].text


def test_a_long_series_is_thinned_and_keeps_its_peak():
    series = [(float(i), 0.0) for i in range(50_000)]
    series[31_337] = (31_337.0, 9.0)
    thinned = charts.thin(series)
    assert len(thinned) <= charts.MOST_POINTS
    assert (31_337.0, 9.0) in thinned


def test_a_series_with_nothing_finite_draws_nothing():
    assert charts.line([(0.0, float("nan")), (1.0, float("inf"))], name="x") is None


def test_a_flat_series_is_drawn():
    assert charts.line([(0.0, 1.0), (1.0, 1.0)], name="x").points


@pytest.mark.parametrize(
    ("value", "told"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2_500_000, "2.5 MB")]
)
def test_sizes_are_told_in_the_unit_that_fits(value, told):
    assert rendering.size(value) == told


def test_what_mlflow_logged_has_pages_that_say_what_to_do_next(every_page):
    shown = {path: page.text for path, page in every_page.items()}
    run = next(text for text in shown.values() if "Run ordinary-owl-7" in text)
    assert "Data it read" in run
    assert "loans training local d1" in run
    assert "Logged models" in run
    model = next(text for path, text in shown.items() if path.startswith("/logged-models/"))
    assert "depth 3" in model
    unjudged = shown["/models/forest/versions/1"]
    assert "homeostat model judge forest 1 --data TABLE --target COLUMN" in unjudged
    assert "not trusted model.pkl is pickled" in unjudged
    assert "homeostat model trust forest 1 --reason WHY" in unjudged
    assert "trusts it: its code was read" in shown["/models/forest/versions/2"]


def test_links_that_mlflow_prints_are_followed_from_the_first_page_only(ask):
    assert "/static/mlflow.js" in ask("/").text
    assert "/static/mlflow.js" not in ask("/runs").text
    assert ask("/static/mlflow.js").headers["content-type"].startswith("text/javascript")
