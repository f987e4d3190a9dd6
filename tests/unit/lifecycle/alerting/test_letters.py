"""What messages say to a person who was asleep: what, since when, why, what to do, where."""

from __future__ import annotations

import json
import re

import click
import msgspec
import pytest

from homeostat.doors import cli
from homeostat.lifecycle.alerting import advice, letters
from homeostat.lifecycle.alerting.entities import Delivery
from homeostat.lifecycle.monitoring.entities import Alert

PAGES = "https://ml.example.org/"
INCOME = Alert(
    id="01a2",
    deployment="credit",
    kind="feed",
    cause="feed",
    column="income",
    state="resolved",
    opened_at=1_795_306_007_444,
    resolved_at=1_795_306_207_444,
    sentence="income: the feed is broken, 240 rows are kept out",
    evidence=("decision:7", "n_rows: 240", "cause: income is multiplied by 100 from row 400"),
)
DELIVERY = Delivery(
    id="01a3",
    deployment="credit",
    cause="feed",
    told="confirmed",
    receiver="ops",
    channel="email",
    alerts=("01a2",),
    made_at=INCOME.opened_at,
    next_at=INCOME.opened_at,
)
WHAT = (
    "2026-11-22 00:06:47 UTC",
    "240 rows are kept out",
    "feed: income is multiplied by 100 from row 400",
    "have whoever sends the rows mend them",
    "https://ml.example.org/alerts/01a2",
)


def _mail(delivery, *alerts):
    return letters.mail(delivery, alerts, sender="a@b", to=["c@d"], pages=PAGES)


@pytest.mark.parametrize("channel", ["email", "slack", "webhook"])
def test_every_channel_says_what_since_when_why_what_to_do_and_where(channel):
    text = {
        "email": lambda: _mail(DELIVERY, INCOME).get_content(),
        "slack": lambda: letters.slack(DELIVERY, [INCOME], pages=PAGES).decode(),
        "webhook": lambda: letters.cloud_event(DELIVERY, [INCOME], pages=PAGES).decode(),
    }[channel]()
    assert "[ALERT] credit: feed of income" in text
    since = str(INCOME.opened_at) if channel == "webhook" else WHAT[0]
    for said in (since, *WHAT[1:]):
        assert said in text


def test_what_is_over_says_after_how_long_and_asks_for_nothing():
    over = msgspec.structs.replace(DELIVERY, told="resolved")
    text = _mail(over, INCOME).get_content()
    assert "after 3 min 20 s" in text
    assert "mend" not in text
    (told,) = json.loads(letters.cloud_event(over, [INCOME]))["data"]["alerts"]
    assert (told["resolved_at"], told["page"]) == (INCOME.resolved_at, "")


def test_whoever_is_told_next_is_told_why():
    next_one = msgspec.structs.replace(DELIVERY, told="escalated")
    assert "Nobody has acknowledged it" in _mail(next_one, INCOME).get_content()
    assert "Nobody has acknowledged it" in letters.slack(next_one, [INCOME]).decode()


def test_many_columns_are_one_message_that_every_channel_takes():
    many = [
        msgspec.structs.replace(
            INCOME, id=f"{n:04x}", column=f"c{n}", sentence=f"{n}{'<' * 900}"
        )
        for n in range(500)
    ]
    letter = _mail(DELIVERY, *many)
    assert letter["Subject"] == "[ALERT] credit: feed of c0, c1, c2 and 497 more"
    assert "and 480 more" in letter.get_content()
    (block,) = json.loads(letters.slack(DELIVERY, many, pages=PAGES))["blocks"]
    assert len(block["text"]["text"]) <= 3000  # Slack refuses the whole message beyond
    assert re.search(r"and 49\d more", block["text"]["text"])


def test_what_is_said_alike_of_many_columns_is_said_once():
    many = [
        msgspec.structs.replace(INCOME, id=f"{n:04x}", column=name)
        for n, name in enumerate(("age", "income", "debt"))
    ]
    text = _mail(DELIVERY, *many).get_content()
    assert text.count("240 rows are kept out") == 1
    assert "feed of age, income, debt on credit" in text
    assert "homeostat alerts ack 0000 0001 0002" in text
    assert "and 2 more alike" in letters.slack(DELIVERY, many).decode()


def test_words_of_others_make_no_header_no_line_and_no_link():
    bad = msgspec.structs.replace(
        INCOME, kind="x\r\nBcc: all@b", column="<!channel>", sentence="a\r\n.\r\nb <!here>"
    )
    elsewhere = msgspec.structs.replace(DELIVERY, deployment="dataset:a\nb", cause="<http://x>")
    letter = _mail(elsewhere, bad)
    assert letter["Bcc"] is None
    assert "\n.\n" not in letter.get_content()
    text = letters.slack(elsewhere, [bad]).decode()
    assert "<!" not in text
    assert "<http" not in text
    assert " " not in json.loads(letters.cloud_event(elsewhere, [bad]))["source"]


def test_what_is_advised_are_commands_that_exist():
    for kind in (*advice.FIRST, "of a program elsewhere"):
        said = advice.first(msgspec.structs.replace(INCOME, kind=kind))
        for words in re.findall(r"homeostat ([a-z -]+)", said):
            command = cli.root
            for word in words.split():
                if not isinstance(command, click.Group):
                    break
                found = command.get_command(click.Context(command), word)
                assert found is not None, said
                command = found
