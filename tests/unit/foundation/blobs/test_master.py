"""The master key is made once, kept private, and wraps by name."""

from __future__ import annotations

import base64
import concurrent.futures
import subprocess
import sys

import pytest

from homeostat.foundation.blobs import master
from homeostat.foundation.errors import CorruptError, InvalidInputError


def test_first_use_makes_a_private_file_and_the_next_use_reads_it(tmp_path):
    home = tmp_path / "home"
    first = master.load(home)
    path = home / "master.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(home.iterdir()) == [path]
    wrapped = first.wrap(b"s" * 32, name="a")
    assert master.load(home).unwrap(wrapped, name="a") == b"s" * 32


ASK = """
import pathlib, sys
from homeostat.foundation.blobs import master
print(master.load(pathlib.Path(sys.argv[1])).derive("test").hex())
"""


def test_processes_that_start_together_agree_on_one_key(tmp_path):
    command = [sys.executable, "-c", ASK, str(tmp_path / "home")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(4)]
    seen = {process.communicate(timeout=240)[0] for process in started}
    assert len(seen) == 1
    assert len(seen.pop().strip()) == 64


def test_threads_that_start_together_agree_on_one_key(tmp_path):
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        loaded = list(pool.map(master.load, [tmp_path / "home"] * 64))
    assert len({key.derive("test") for key in loaded}) == 1


def test_a_key_from_the_environment_needs_no_file(tmp_path):
    as_hex = master.load(tmp_path / "none", "11" * 32)
    as_base64 = master.load(tmp_path / "none", base64.b64encode(b"\x11" * 32).decode())
    assert as_hex.derive("x") == as_base64.derive("x")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("given", ["short", "zz" * 32, "11" * 16])
def test_a_key_that_cannot_be_one_is_refused_without_showing_it(tmp_path, given):
    with pytest.raises(InvalidInputError, match="holds no master key") as refusal:
        master.load(tmp_path, given)
    assert given not in str(refusal.value)


def test_a_key_others_may_read_is_refused(tmp_path):
    master.load(tmp_path)
    (tmp_path / "master.key").chmod(0o644)
    with pytest.raises(InvalidInputError, match="may be read by others"):
        master.load(tmp_path)


def test_a_damaged_key_file_is_refused(tmp_path):
    master.load(tmp_path)
    (tmp_path / "master.key").write_text("")
    with pytest.raises(InvalidInputError, match="holds no master key"):
        master.load(tmp_path)


def test_wrapped_keys_open_under_their_own_name_and_master_only(tmp_path):
    key = master.load(tmp_path)
    wrapped = key.wrap(b"s" * 32, name="dataset:a")
    with pytest.raises(CorruptError):
        key.unwrap(wrapped, name="dataset:b")
    with pytest.raises(CorruptError):
        master.load(tmp_path / "other").unwrap(wrapped, name="dataset:a")
    with pytest.raises(CorruptError):
        key.unwrap(wrapped[:-1], name="dataset:a")
    with pytest.raises(CorruptError):
        key.unwrap(b"", name="dataset:a")


def test_a_master_key_does_not_show_its_secret(tmp_path):
    assert repr(master.load(tmp_path)) == f"MasterKey(from {tmp_path}/master.key)"
