"""What the group-commit writer promises, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
import sqlalchemy as sa

from homeostat.foundation import errors
from homeostat.foundation.database import Prepared, committing, writer
from homeostat.foundation.events import records

HEADS = records.heads


@pytest.fixture(name="writer")
def _writer(database):
    made = writer.Writer(database)
    yield made
    made.close()


def put(project):
    return lambda tx: (
        tx.execute(HEADS.insert(), {"project": project, "seq": 1, "digest": "d"}).rowcount
    )


def projects(database):
    with database.read() as tx:
        return {row.project for row in tx.execute(sa.select(HEADS))}


class Gate:
    """Holds the writer in one request, so that those behind it form a group."""

    def __init__(self, writer):
        self._reached, self._open = threading.Event(), threading.Event()
        self.answer = writer.submit(self._wait)
        assert self._reached.wait(30)

    def _wait(self, _tx):
        self._reached.set()
        assert self._open.wait(30)

    def open(self):
        self._open.set()


def test_an_answer_comes_after_its_commit(writer, database):
    assert writer.submit(put("a")).result(30) == 1
    assert projects(database) == {"a"}


def test_a_request_runs_in_the_project_it_names(writer):
    assert writer.write(lambda tx: tx.project, project="bank") == "bank"


def test_an_event_loop_can_wait(writer, database):
    assert asyncio.run(writer.run(put("a"))) == 1
    assert projects(database) == {"a"}


def test_a_failing_request_alone_in_its_group_leaves_nothing(writer, database):
    def work(tx):
        put("a")(tx)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        writer.write(work)
    assert projects(database) == set()


def test_a_failing_request_never_fails_its_neighbours(writer, database):
    def half(tx):
        put("half")(tx)
        raise ValueError("no")

    gate = Gate(writer)
    before, bad, after = writer.submit(put("a")), writer.submit(half), writer.submit(put("b"))
    twice = writer.submit(put("a"))
    gate.open()
    assert before.result(30) == after.result(30) == 1
    with pytest.raises(ValueError, match="no"):
        bad.result(30)
    with pytest.raises(errors.ConflictError):
        twice.result(30)
    assert projects(database) == {"a", "b"}


def test_a_group_shares_one_transaction(writer):
    gate = Gate(writer)
    connections = [writer.submit(lambda tx: id(tx._connection)) for _ in range(20)]
    gate.open()
    assert len({answer.result(30) for answer in connections}) == 1


def test_no_request_of_a_group_is_answered_before_the_commit(writer, database):
    seen = []
    gate = Gate(writer)
    first = writer.submit(put("a"))
    first.add_done_callback(lambda _: seen.append(projects(database)))
    second = writer.submit(put("b"))
    gate.open()
    second.result(30)
    first.result(30)
    writer.close()
    assert seen == [{"a", "b"}]


def test_callbacks_run_only_for_what_was_committed(writer):
    seen = []

    def work(tx):
        tx.after_commit(lambda: seen.append("never"))
        raise ValueError("no")

    gate = Gate(writer)
    bad = writer.submit(work)
    good = writer.submit(lambda tx: tx.after_commit(lambda: seen.append("once")))
    gate.open()
    good.result(30)
    assert bad.exception(30) is not None
    assert seen == ["once"]


def test_a_full_queue_refuses_and_says_when_to_come_back(database):
    small = writer.Writer(database, capacity=2)
    gate = Gate(small)
    kept = [small.submit(put(f"p{i}")) for i in range(2)]
    with pytest.raises(errors.UnavailableError) as raised:
        small.submit(put("late"))
    assert raised.value.facts["retry_after_s"] == 1
    gate.open()
    assert [answer.result(30) for answer in kept] == [1, 1]
    small.close()


def test_closing_finishes_what_was_taken_and_takes_no_more(database):
    made = writer.Writer(database)
    gate = Gate(made)
    answers = [made.submit(put(f"p{i}")) for i in range(10)]
    gate.open()
    made.close()
    assert all(answer.done() for answer in answers)
    assert len(projects(database)) == 10
    with pytest.raises(errors.UnavailableError, match="stopping"):
        made.submit(put("late"))


def test_a_cancelled_request_is_not_done(writer, database):
    gate = Gate(writer)
    unwanted = writer.submit(put("a"))
    assert unwanted.cancel()
    gate.open()
    writer.write(put("b"))
    assert projects(database) == {"b"}


def test_a_write_inside_a_write_is_refused_instead_of_waiting_for_ever(writer):
    with pytest.raises(RuntimeError, match="inside a write"):
        writer.write(lambda _tx: writer.write(put("a")))


def test_many_threads_lose_nothing(writer, database):
    def work(name):
        for i in range(25):
            writer.write(put(f"{name}-{i}"))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(projects(database)) == 200


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_full_disk_fails_the_group_with_a_sentence_and_the_writer_goes_on(database, writer):
    def fill(tx):
        for i in range(2000):
            tx.execute(HEADS.insert(), {"project": f"fill{i}", "seq": 1, "digest": "d" * 500})

    with database.write() as tx:
        pages = tx.execute(sa.text("PRAGMA page_count")).scalar_one()
    limit_pages(database, pages + 20)
    gate = Gate(writer)
    neighbour, filling = writer.submit(put("a")), writer.submit(fill)
    gate.open()
    for answer in (neighbour, filling):
        with pytest.raises(errors.UnavailableError, match="disk of the database is full"):
            answer.result(30)
    assert projects(database) == set()
    assert writer.submit(put("a")).result(30) == 1


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_lost_connection_fails_the_group_and_the_next_one_works(database, writer):
    def cut(tx):
        tx.execute(sa.text("SELECT pg_terminate_backend(pg_backend_pid())"))

    gate = Gate(writer)
    neighbour, cutting = writer.submit(put("a")), writer.submit(cut)
    gate.open()
    for answer in (neighbour, cutting):
        with pytest.raises(errors.UnavailableError, match="cannot be reached"):
            answer.result(30)
    assert writer.submit(put("b")).result(30) == 1
    assert projects(database) == {"b"}


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_commit_that_fails_fails_every_request_of_the_group(database, writer):
    with database.write() as tx:
        tx.execute(
            sa.text(
                "ALTER TABLE event_heads ADD CONSTRAINT later "
                "UNIQUE (seq, digest) DEFERRABLE INITIALLY DEFERRED"
            )
        )
    gate = Gate(writer)
    answers = [writer.submit(put("a")), writer.submit(put("b"))]
    gate.open()
    for answer in answers:
        assert isinstance(answer.exception(30), errors.HomeostatError)
    assert projects(database) == set()


def limit_pages(database, n):
    """Every connection from now on finds the disk full at `n` pages, those open already too."""
    database.writing.dispose()

    @sa.event.listens_for(database.writing, "connect")
    def limit(raw, _record):
        raw.execute(f"PRAGMA max_page_count={n}").close()


def together(writer, *works):
    """Return what each of some repeatable works gave or raised, done in one group."""

    async def ask():
        gate = Gate(writer)
        waiting = [asyncio.ensure_future(writer.run(work, may_repeat=True)) for work in works]
        await asyncio.sleep(0)
        gate.open()
        gate.answer.result(30)
        return await asyncio.gather(*waiting, return_exceptions=True)

    return asyncio.run(ask())


def noted(ran, name, work):
    def noting(tx):
        ran.append(name)
        return work(tx)

    return noting


def refuse(_tx):
    raise errors.InvalidInputError("before any write")


def spoil(tx):
    put("spoilt")(tx)
    raise errors.ConflictError("after a write")


def test_what_may_repeat_is_done_again_when_a_neighbour_left_something_to_undo(
    writer, database
):
    ran = []
    works = {"a": put("a"), "refused": refuse, "spoilt": spoil, "b": put("b")}
    found = together(writer, *(noted(ran, name, work) for name, work in works.items()))
    assert [type(answer) for answer in found] == [
        *(int, errors.InvalidInputError, errors.ConflictError, int)
    ]
    assert projects(database) == {"a", "b"}
    assert ran == ["a", "refused", "spoilt", "a", "refused", "spoilt", "b"]


def test_a_refusal_before_any_write_repeats_nobody(writer, database):
    ran = []
    together(writer, noted(ran, "a", put("a")), noted(ran, "no", refuse))
    assert ran == ["a", "no"]
    assert projects(database) == {"a"}


def test_a_statement_that_failed_undoes_itself_alone(writer, database):
    """On PostgreSQL nothing more works behind a failed statement until it is undone."""
    found = together(writer, put("a"), put("a"), put("b"))
    assert [type(answer) for answer in found] == [int, errors.ConflictError, int]
    assert projects(database) == {"a", "b"}


INSERT_HEAD = Prepared(HEADS.insert())
LOOK = Prepared(sa.select(HEADS.c.seq).where(HEADS.c.project == sa.bindparam("named")))


def later(project):
    return lambda tx: tx.insert_later(INSERT_HEAD, [(project, 1, "d")])


def look(project):
    return lambda tx: tx.run(LOOK, {"named": project}).fetchone()


def test_rows_that_wait_are_there_for_whoever_looks_at_their_table(writer, database):
    assert together(writer, later("a"), look("a"), later("b"))[1] == (1,)
    assert projects(database) == {"a", "b"}


def test_rows_that_wait_are_written_once_each_however_many_there_are(writer, database):
    """They go in steps of different sizes."""
    names = [f"p{i:02}" for i in range(2 * 32 + 8 + 4 + 1)]
    together(writer, *map(later, names[:-1]), later(names[-1]))
    assert projects(database) == set(names)


def test_a_row_that_waited_and_is_refused_fails_its_own_request_alone(writer, database):
    found = together(writer, later("a"), later("a"), later("b"))
    assert [type(answer) for answer in found] == [type(None), errors.ConflictError, type(None)]
    assert projects(database) == {"a", "b"}


def test_who_catches_the_refusal_of_a_neighbours_row_has_not_lost_it(writer, database):
    def catching(tx):
        try:
            look("a")(tx)
        except errors.ConflictError:
            return "caught"
        return "seen"

    found = together(writer, later("a"), later("a"), catching, later("b"))
    assert isinstance(found[1], errors.ConflictError)
    assert found[2] == "seen"
    assert projects(database) == {"a", "b"}


def test_what_was_read_stays_known_until_somebody_changes_it(writer, database):
    def known(tx):
        return tx.known.get(HEADS.name, "a")

    def know(tx):
        put("a")(tx)
        tx.known.put(HEADS.name, "a", 1)

    is_kept = 1 if database.is_sqlite else None
    writer.write(know)
    assert writer.write(known) == is_kept
    with database.write() as tx:  # as another process would
        tx.execute(HEADS.update().values(seq=2))
    assert writer.write(known) is None
    writer.write(lambda tx: tx.known.put(HEADS.name, "a", 2))
    writer.write(lambda tx: tx.execute(HEADS.update().values(seq=3)))
    assert writer.write(known) is None
    with pytest.raises(errors.ConflictError):
        writer.write(know)
    assert writer.write(known) is None


def test_what_a_loop_asks_for_in_one_turn_is_told_to_each(writer, database):
    async def ask():
        loop = asyncio.get_running_loop()
        told, everybody = {}, loop.create_future()

        def telling(name):
            def tell(result, error):
                told[name] = result if error is None else type(error)
                if len(told) == 3:
                    everybody.set_result(told)

            return tell

        for name, work in {"a": put("a"), "no": refuse, "b": put("b")}.items():
            writer.ask(work, telling(name), loop=loop, caller=id(work))
        return await asyncio.wait_for(everybody, 30)

    assert asyncio.run(ask()) == {"a": 1, "no": errors.InvalidInputError, "b": 1}
    assert projects(database) == {"a", "b"}


async def answers_to(writer, *works):
    """Return what each work came to that a loop asks for one after the other."""
    loop = asyncio.get_running_loop()
    found = []
    for work in works:
        answered = loop.create_future()
        writer.ask(work, lambda *told, to=answered: to.set_result(told), loop=loop, caller=1)
        result, error = await asyncio.wait_for(answered, 30)
        found.append(result if error is None else error)
    return found


def thread(_tx):
    return threading.get_ident()


def long(_tx):
    time.sleep(2 * committing.SLOW_GROUP_S)


def test_what_a_loop_asks_for_is_done_on_it_where_the_database_is_a_file(writer, database):
    (done_on,) = asyncio.run(answers_to(writer, thread))
    assert (done_on == threading.get_ident()) is database.is_sqlite


def test_what_takes_long_is_done_on_a_thread_for_a_while(writer):
    """Other requests of the loop are answered meanwhile."""
    *_, done_on = asyncio.run(answers_to(writer, long, thread))
    assert done_on != threading.get_ident()


def test_a_write_inside_a_write_on_a_loop_is_refused_too(writer):
    (refusal,) = asyncio.run(answers_to(writer, lambda _tx: writer.write(put("a"))))
    assert isinstance(refusal, RuntimeError)


def test_a_loop_goes_on_while_another_process_writes(writer, database):
    async def ask():
        asked = asyncio.create_task(answers_to(writer, put("b")))
        with database.write() as tx:  # as another process would
            tx.execute(HEADS.insert(), {"project": "a", "seq": 1, "digest": "d"})
            for _ in range(20):
                await asyncio.sleep(0.005)
            assert not asked.done()
        return await asked

    assert asyncio.run(ask()) == [1]
    assert projects(database) == {"a", "b"}
