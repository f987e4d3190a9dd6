from __future__ import annotations

import pytest

from homeostat.foundation import errors, settings


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_defaults_are_a_home_in_the_current_folder_on_sqlite(tmp_path):
    found = settings.load()
    assert found.home == tmp_path / ".homeostat"
    assert found.database_url == f"sqlite:///{tmp_path}/.homeostat/homeostat.db"
    assert found.blobs_url == f"{tmp_path}/.homeostat/blobs"
    assert (found.host, found.port, found.predict_port) == ("127.0.0.1", 5000, 5001)


def test_overrides_win_over_environment_over_file_over_default(tmp_path, monkeypatch):
    (tmp_path / "homeostat.toml").write_text(
        "[server]\nport = 1\npredict_port = 2\nhost='::1'\n"
    )
    monkeypatch.setenv("HOMEOSTAT_PORT", "3")
    monkeypatch.setenv("HOMEOSTAT_PREDICT_PORT", "4")
    found = settings.load(predict_port=5, actor=None)
    assert (found.host, found.port, found.predict_port) == ("::1", 3, 5)
    assert found.actor == "owner"


def test_a_home_in_a_file_is_meant_from_the_folder_of_the_file(tmp_path):
    (tmp_path / "sub").mkdir()
    toml = tmp_path / "sub" / "homeostat.toml"
    toml.write_text('[server]\nhome = "state"\n[model]\nname = "credit"\n')
    assert settings.load(toml).home == tmp_path / "sub" / "state"


def test_an_unknown_variable_names_the_nearest(monkeypatch):
    monkeypatch.setenv("HOMEOSTAT_HOMME", "x")
    with pytest.raises(errors.InvalidInputError, match="did you mean HOMEOSTAT_HOME"):
        settings.load()


def test_an_unknown_key_of_the_file_names_the_nearest(tmp_path):
    (tmp_path / "homeostat.toml").write_text("[server]\nprot = 5000\n")
    with pytest.raises(errors.InvalidInputError, match=r"'prot'.*did you mean 'port'"):
        settings.load()


def test_variables_of_tests_are_let_through(monkeypatch):
    monkeypatch.setenv("HOMEOSTAT_TEST_POSTGRES", "postgresql://x")
    settings.load()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "example.org", ""])
def test_a_host_others_can_reach_is_refused_with_the_reason(host):
    with pytest.raises(errors.InvalidInputError, match="sign-in is off"):
        settings.load(host=host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "models.example"])
def test_with_sign_in_others_may_reach_the_server_but_never_the_predictions(host):
    told = settings.load(host=host, sign_in="keys", allowed_hosts=["a.example"])
    assert told.host == host
    assert settings.is_loopback(told.predict_host)
    assert told.near_host not in {"0.0.0.0", "::"}


def test_names_to_answer_to_are_a_list_or_text_with_commas_and_need_sign_in(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("HOMEOSTAT_ALLOWED_HOSTS", "a.example, b.example,")
    with pytest.raises(errors.InvalidInputError, match="sign-in is off"):
        settings.load()
    monkeypatch.setenv("HOMEOSTAT_SIGN_IN", "keys")
    assert settings.load().allowed_hosts == ("a.example", "b.example")
    monkeypatch.delenv("HOMEOSTAT_ALLOWED_HOSTS")
    toml = tmp_path / "homeostat.toml"
    toml.write_text('[server]\nallowed_hosts = ["a.example"]\n')
    assert settings.load(toml).allowed_hosts == ("a.example",)


def test_sign_in_is_off_or_by_keys():
    with pytest.raises(errors.InvalidInputError, match="one of off, keys"):
        settings.load(sign_in="oidc")


def test_an_access_key_is_never_shown():
    assert "hs_secret" not in repr(settings.load(token="hs_secret"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_alone_is_fine(host):
    assert settings.load(host=host).host == host


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[server\n", "is not TOML"),
        ("server = 3\n", "must be a table"),
        ("[server]\nport = 'many'\n", "setting port needs int, got 'many'"),
        ("[server]\nport = 70000\n", "ports are 0 to 65535"),
        ("[server]\nlog_level = 'loud'\n", "it is one of debug, info"),
    ],
)
def test_what_cannot_be_right_is_told_in_a_sentence(tmp_path, text, says):
    (tmp_path / "homeostat.toml").write_text(text)
    with pytest.raises(errors.InvalidInputError, match=says):
        settings.load()


def test_a_file_that_was_named_must_be_there(tmp_path):
    with pytest.raises(errors.InvalidInputError, match="cannot read"):
        settings.load(tmp_path / "none.toml")


def test_secrets_are_not_shown():
    shown = repr(settings.load(master_key="hush", s3_secret_key="quiet"))
    assert "hush" not in shown
    assert "quiet" not in shown
