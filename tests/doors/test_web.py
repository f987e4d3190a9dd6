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
from homeostat.doors.web import charts, files, rendering, site
from homeostat.foundation import house, settings
from homeostat.lifecycle import policy
from homeostat.lifecycle.loop import actions as loop
from homeostat.lifecycle.loop import entities
from homeostat.lifecycle.monitoring import alerts
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.tracking import actions as tracking
from homeostat.lifecycle.tracking import entities as tracked
from homeostat.lifecycle.tracking.entities import Metric

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
        if reply.status_code == 303:  # what lineage names leads to its page
            todo.append(reply.headers["location"])
            continue
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
    reached |= {link for page in every_page.values() for link in page.links}
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
    assert "ONNX twin, verified on 2,320 rows, largest difference 3e-16" in told


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


@pytest.mark.parametrize("at", [2**63 - 1, -(2**63), 1_712_345_678_901_000_000, -1])
def test_an_instant_of_a_client_takes_no_page_down(ask, furnished, furnishing, at):
    def write(tx):
        made = tracking.create_run(tx, furnishing.ADA, name=f"at {at}", started_at=at)
        tracking.log_metrics(
            tx, furnishing.ADA, made.id, points=[Metric.of("loss", 0.1, at=at, step=at)]
        )
        tracking.finish_run(tx, furnishing.ADA, made.id, ended_at=at)
        return made.id

    run_id = furnished.write(write)
    shown = "1969-12-31 23:59:59" if at == -1 else str(at)
    for path in (f"/runs/{run_id}", "/runs?experiment=0", "/runs"):
        reply = ask(path)
        assert reply.status_code == 200
    assert shown in ask(f"/runs/{run_id}").text
    furnished.write(lambda tx: tracking.delete_run(tx, furnishing.ADA, run_id))


def test_a_version_from_a_far_clock_has_a_page(every_page):
    assert str(2**63 - 1) in every_page["/models/forest/versions/4"].text


def test_the_runs_of_an_experiment_stand_together_under_its_name(every_page):
    told = every_page["/runs?experiment=1"].text
    assert "study of everything" in told
    assert "part 3" not in told
    assert "/runs?experiment=1" in every_page["/runs"].links


def test_a_deleted_experiment_shows_the_runs_that_went_with_it(ask):
    told = Parsed(ask("/runs?experiment=2").text).text
    assert "given up deleted" in told
    assert "of a given up one" in told


@pytest.mark.parametrize(("asked", "status"), [("99", 404), ("x", 422), ("9" * 30, 404)])
def test_an_experiment_that_is_not_there_is_told_so(ask, asked, status):
    assert ask(f"/runs?experiment={asked}").status_code == status


def test_runs_below_a_run_and_their_parent_lead_to_each_other(every_page):
    path, parent = next(
        (path, page) for path, page in every_page.items() if "Run ordinary-owl-7" in page.text
    )
    below = f"/runs?parent={path.removeprefix('/runs/')}"
    assert below in parent.links
    assert "Parts of ordinary-owl-7" in every_page[below].text
    assert sum(f"part {n} finished" in every_page[below].text for n in range(25)) == 25
    child = next(page for page in every_page.values() if "Run part 3 " in page.text)
    assert path in child.links
    assert "Part of ordinary-owl-7" in child.text


def test_a_run_whose_parent_is_elsewhere_names_it(every_page):
    assert any("Part of nowhere , which is not here" in one.text for one in every_page.values())


def test_what_nobody_measured_is_not_shown_as_nothing(every_page):
    run = next(page.text for page in every_page.values() if "Run ordinary-owl-7" in page.text)
    for word in ("Processor", "Peak memory", "Pipeline", "Environment", "not in git"):
        assert word not in run
    fitted = next(page.text for page in every_page.values() if "Run first fit" in page.text)
    assert "Pipeline credit" in fitted


def test_files_are_links_that_download_them(ask, every_page):
    found = {one for page in every_page.values() for one in page.downloads}
    assert {one.partition("?")[0].partition("/m-")[0] for one in found} == {
        "/get-artifact",
        "/model-versions/get-artifact",
        "/api/2.0/mlflow-artifacts/artifacts/0/models",
    }
    for one in found:
        reply = ask(one)
        assert reply.status_code == 200, one
        assert reply.content
        assert reply.headers["content-disposition"].startswith("attachment")
        assert reply.headers["x-content-type-options"] == "nosniff"


def test_only_pictures_that_a_browser_merely_paints_are_shown(every_page):
    painted = {
        given["src"]
        for page in every_page.values()
        for tag, given in page.attributes
        if tag == "img"
    }
    assert len(painted) == 2
    assert {one.rpartition("/")[2] for one in painted} == {"icon.svg", "roc%20curve.png"}


@pytest.mark.parametrize(
    ("path", "size_bytes", "is_shown"),
    [
        ("a.png", 10, True),
        ("plots/B.JPG", 10, True),
        ("a.svg", 10, False),
        ("a.html", 10, False),
        ("a.png.html", 10, False),
        ("a.png", files.LARGEST_PICTURE + 1, False),
    ],
)
def test_a_picture_is_small_and_of_a_kind_that_holds_no_code(path, size_bytes, is_shown):
    kept = [tracked.Artifact(path, "d", size_bytes, 0)]
    assert bool(files.of_run("0" * 32, kept).pictures) is is_shown


def test_a_long_list_of_files_is_cut_and_says_so():
    kept = [tracked.Artifact(f"{n}.png", "d", 2, 0) for n in range(files.MOST + 5)]
    shelf = files.of_run("0" * 32, kept)
    assert len(shelf.files) == files.MOST
    assert len(shelf.pictures) == files.MOST_PICTURES
    assert (shelf.total, shelf.size_bytes) == (files.MOST + 5, 2 * (files.MOST + 5))


def test_a_path_cannot_leave_its_address():
    kept = [tracked.Artifact("a&run_id=x#?%2f.txt", "d", 1, 0)]
    shown = files.of_run("0" * 32, kept).files[0].address
    assert shown == f"/get-artifact?run_id={'0' * 32}&path=a%26run_id%3Dx%23%3F%252f.txt"


@pytest.mark.parametrize(
    ("began", "ended", "told"),
    [(0, 1500, "1.5 s"), (5, 4, "-"), (0, 2**63 - 1, "-"), (-(2**63), 0, "-")],
)
def test_how_long_a_run_took_is_told_where_its_clock_makes_sense(began, ended, told):
    assert rendering.took(began, ended) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [(12_345.6, "12,346"), (1.797e308, "1.797e+308"), (-1e15, "-1e+15"), (float("nan"), "nan")],
)
def test_numbers_keep_as_many_digits_as_say_something(value, told):
    assert rendering.number(value) == told


def test_values_too_large_for_a_scale_are_left_out_of_a_chart():
    largest = 1.7976931348623157e308
    chart = charts.line([(0.0, largest), (1.0, -largest), (2.0, 1.0), (3.0, 2.0)], name="x")
    assert (chart.first, chart.last) == (2.0, 3.0)
    assert "nan" not in chart.points


def test_links_that_mlflow_prints_are_followed_from_the_first_page_only(ask):
    assert "/static/mlflow.js" in ask("/").text
    assert "/static/mlflow.js" not in ask("/runs").text
    assert ask("/static/mlflow.js").headers["content-type"].startswith("text/javascript")


def test_a_snapshot_shows_what_its_columns_hold(every_page):
    text = every_page["/data/loans/2"].text
    assert "loans, snapshot 2" in text
    assert "north 3" in text  # a third of the rows
    assert "loans <of> autumn.parquet" in text
    drawn = [given for tag, given in every_page["/data/loans/2"].attributes if tag == "rect"]
    assert len(drawn) >= 3 + 9 + 12  # regions, years, most of income's bars
    spread = [
        given["aria-label"]
        for tag, given in every_page["/data/loans/2"].attributes
        if tag == "svg" and given.get("class") == "spread"
    ]
    assert any(label.startswith("years: 0 to 8") for label in spread)


def test_a_snapshot_says_how_it_differs_and_what_was_made_of_it(every_page):
    assert "Other than the snapshot before" in every_page["/data/loans/2"].text
    assert "made-of" in every_page["/data/loans/2"].text
    assert "Made from" in every_page["/data/loans-clean/1"].text
    assert "Made from" not in every_page["/data/loans/2"].text


def test_a_reference_to_a_snapshot_leads_to_its_page(ask, furnished, every_page):
    leading = [link for link in every_page["/data/loans/2"].links if "/snapshots/" in link]
    assert leading
    reply = ask(leading[0])
    assert reply.status_code == 303
    assert reply.headers["location"].startswith("/data/loans/")


def test_data_that_is_not_there_is_a_page_too(ask):
    for path in ("/data/nothing", "/data/loans/9", "/snapshots/0"):
        reply = ask(path)
        assert reply.status_code == 404, path
        assert "<h1>" in reply.text
