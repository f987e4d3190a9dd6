"""Workers of a prediction server and their supervisor: why one ends, and other releases."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket

import structlog

from homeostat.doors.predict import channel, sockets, succession, supervised


def _begin(folder, release):
    return channel.Begin(
        folder=str(folder),
        durability="process",
        n_workers=1,
        memory_bytes=2**20,
        log_level="info",
        log_format="json",
        release=release,
    )


async def _ended(folder, how, *, release=succession.RELEASE):
    """Start a worker, let it end in some way, and return its exit code."""
    folder.mkdir()
    address = sockets.Address("127.0.0.1", 0)
    listening = address.take()
    worker = await supervised.start(listening, hear=lambda *_: None)
    worker.begin(_begin(folder, release))
    worker.know(is_ready=True)
    ready = asyncio.create_task(worker.ready.wait())
    await asyncio.wait({ready, worker.ended}, return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    how(worker)
    async with asyncio.timeout(60):
        code = await worker.ended
    listening.close()
    address.close()
    return code


def test_a_worker_says_why_it_ends_unless_it_was_asked_to(tmp_path, capfd):
    ways = {
        "asked": lambda one: one.drain(idle_s=0.0),
        "signal": lambda one: os.kill(one.pid, signal.SIGTERM),
        "succeeded": lambda one: _shut(one.line, socket.SHUT_WR),
        "gone": lambda one: _shut(one.line, socket.SHUT_RDWR),
        "nonsense": lambda one: os.write(one.line, b"\0\0\0\1\xc1"),
    }

    async def story():
        ending = [_ended(tmp_path / name, how) for name, how in ways.items()]
        ending.append(_ended(tmp_path / "other", lambda _: None, release="0.0.0"))
        return await asyncio.gather(*ending)

    assert asyncio.run(story()) == [0, 0, 0, 7, 1, 5]
    said = capfd.readouterr().err
    assert said.count("worker ends: a signal asked it to") == 1
    assert said.count("worker ends: those of another release answer") == 1
    assert said.count("worker ends: its supervisor is gone") == 1
    assert said.count("worker ends: it cannot go on hearing its supervisor") == 1
    assert said.count("the supervisor is of another release") == 1


def _shut(number, how):
    with socket.socket(fileno=os.dup(number)) as line:
        line.shutdown(how)


def test_a_worker_that_is_not_understood_is_ended_and_its_place_is_free(tmp_path):
    async def story():
        address = sockets.Address("127.0.0.1", 0)
        listening = address.take()

        def hear(*_):
            raise LookupError("of a supervisor")

        with contextlib.closing(listening), structlog.testing.capture_logs() as told:
            worker = await supervised.start(listening, hear=hear)
            worker.begin(_begin(tmp_path, succession.RELEASE))
            worker.know(is_ready=True)
            code = await worker.ended
        address.close()
        return code, [one["event"] for one in told]

    code, told = asyncio.run(story())
    assert code == -signal.SIGKILL
    assert told == ["worker is not understood; killed"]


def test_a_release_that_cannot_be_imported_is_left_alone(tmp_path, monkeypatch):
    assert asyncio.run(succession.is_sound())
    broken = tmp_path / "homeostat" / "__init__.py"
    broken.parent.mkdir()
    broken.write_text("raise ImportError('half of it is missing')\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with structlog.testing.capture_logs() as told:
        assert not asyncio.run(succession.is_sound())
    assert told[0]["why"] == "ImportError: half of it is missing"
