from __future__ import annotations

import pytest

from homeostat.foundation import addresses, settings

HERE, THERE = "http://127.0.0.1:7510", "http://127.0.0.1:7511"


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_servers_are_found_where_they_listen_while_they_run(tmp_path):
    told = settings.load(home=tmp_path)
    with (
        addresses.kept(tmp_path, "server", HERE),
        addresses.kept(tmp_path, "predictions", THERE),
    ):
        assert (addresses.server(told), addresses.predictions(told)) == (HERE, THERE)
    assert list((tmp_path / addresses.FOLDER).iterdir()) == []
    assert addresses.server(told) == "http://127.0.0.1:5000"
    assert addresses.predictions(told) == "http://127.0.0.1:5001"


def test_what_a_killed_process_left_is_not_believed_and_goes(tmp_path):
    left = tmp_path / addresses.FOLDER / "predictions.1"
    left.parent.mkdir()
    left.write_text(THERE)
    assert addresses.find(tmp_path, "predictions") == ""
    with addresses.kept(tmp_path, "predictions", HERE):
        assert not left.exists()
        assert addresses.find(tmp_path, "predictions") == HERE


def test_what_somebody_set_wins_even_where_it_is_the_usual(tmp_path, monkeypatch):
    with addresses.kept(tmp_path, "predictions", THERE):
        monkeypatch.setenv("HOMEOSTAT_PREDICT_PORT", "5001")
        told = settings.load(home=tmp_path)
        assert addresses.predictions(told) == "http://127.0.0.1:5001"
        monkeypatch.setenv("HOMEOSTAT_PREDICT_URL", "http://elsewhere:1")
        assert addresses.predictions(settings.load(home=tmp_path)) == "http://elsewhere:1"
