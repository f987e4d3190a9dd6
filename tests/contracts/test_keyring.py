"""Access keys: made once, opened by their secret alone, taken back for good."""

from __future__ import annotations

import pytest

from homeostat.foundation import access, clock, errors, events, keyring
from homeostat.foundation.keyring import lookup, records

ADA = access.local_owner("ada")
SERVING = access.system("serving")


def make(database, name="bo", *, role=access.Role.REVIEWER, project="default", **more):
    with database.write(project=project) as tx:
        return keyring.create(tx, ADA, name, role=role, **more)


def test_a_key_opens_as_whom_it_was_made_for(database):
    made = make(database, project="risk")
    found = keyring.Keyring(database).find(made.secret)
    assert found == made.key
    assert (found.name, found.role, found.project) == ("bo", access.Role.REVIEWER, "risk")
    assert found.created_by == "ada"


def test_the_secret_is_kept_nowhere(database):
    made = make(database)
    random = made.secret.removeprefix(f"hs_{made.key.id}_")
    assert len(random) >= 43  # 32 bytes in base64
    with database.read() as tx:
        rows = str(tx.execute(records.access_keys.select()).all())
        told = str(events.read(tx, after=0, limit=10))
    assert random not in rows
    assert random not in told
    assert lookup.digest(made.secret) not in told


@pytest.mark.parametrize(
    "wrong",
    [
        lambda secret: "",
        lambda secret: "hs_",
        lambda secret: secret[:-1],
        lambda secret: secret + "x",
        lambda secret: secret.swapcase(),
        lambda secret: secret.partition("_")[2],
        lambda secret: "hs_" + "0" * 32 + secret[35:],
        lambda secret: "é" * 80,
    ],
)
def test_anything_but_the_whole_secret_opens_nothing(database, wrong):
    made = make(database)
    ring = keyring.Keyring(database)
    assert ring.find(made.secret) is not None
    assert ring.find(wrong(made.secret)) is None


def test_a_secret_opens_with_its_own_id_only(database):
    one, two = make(database), make(database, "cy")
    mixed = lookup.text(one.key.id, two.secret.removeprefix(f"hs_{two.key.id}_"))
    assert keyring.Keyring(database).find(mixed) is None


def test_a_key_that_was_revoked_opens_nothing_and_stays_in_the_list(database):
    made = make(database)
    with database.write() as tx:
        taken = keyring.revoke(tx, ADA, made.key.id)
        again = keyring.revoke(tx, ADA, made.key.id)
    assert taken.revoked_at is not None
    assert again == taken
    assert keyring.Keyring(database).find(made.secret) is None
    with database.read() as tx:
        assert keyring.newest(tx, ADA) == [taken]
        kinds = [event.kind for event in events.read(tx, after=0, limit=10)]
    assert kinds == ["key.created", "key.revoked"]


def test_a_key_opens_until_it_expires(database, monkeypatch):
    made = make(database, expires_at=clock.now_ms() + 60_000)
    ring = keyring.Keyring(database)
    assert ring.find(made.secret) is not None
    later = clock.now_ms() + 60_001
    monkeypatch.setattr(clock, "now_ms", lambda: later)
    assert ring.find(made.secret) is None
    assert keyring.Keyring(database).find(made.secret) is None


def test_a_key_made_later_opens_at_once_where_others_are_held(database):
    ring = keyring.Keyring(database)
    assert ring.find(make(database).secret) is not None
    made = make(database, "cy")
    ring._read_at -= lookup.RUSH_S
    assert ring.find(made.secret) == made.key


def test_what_is_held_is_read_anew_once_it_is_old(database):
    made = make(database)
    ring = keyring.Keyring(database)
    assert ring.find(made.secret) is not None
    with database.write() as tx:
        keyring.revoke(tx, ADA, made.key.id)
    ring._read_at -= lookup.FRESH_S
    assert ring.find(made.secret) is None


@pytest.mark.parametrize(
    "name", ["", " ", "system:loop", "a:b", "_x", "x" * 101, "a\nb", "<b>"]
)
def test_a_name_that_could_be_mistaken_is_refused(database, name):
    with pytest.raises(errors.InvalidInputError, match="cannot name a person or program"):
        make(database, name)


def test_an_end_in_the_past_is_refused(database):
    with pytest.raises(errors.InvalidInputError, match="would have expired"):
        make(database, expires_at=1)


def test_nobody_makes_a_key_of_the_system(database):
    with pytest.raises(errors.InvalidInputError, match="by the system alone"):
        make(database, kind=access.Kind.SYSTEM)


@pytest.mark.parametrize("role", [role for role in access.Role if role != access.Role.OWNER])
def test_only_owners_make_list_and_revoke(database, role):
    made = make(database)
    eve = access.Actor("eve", role)
    with database.write() as tx:
        with pytest.raises(errors.NotAllowedError):
            keyring.create(tx, eve, "eve", role=access.Role.OWNER)
        with pytest.raises(errors.NotAllowedError):
            keyring.newest(tx, eve)
        with pytest.raises(errors.NotAllowedError):
            keyring.revoke(tx, eve, made.key.id)
        with pytest.raises(errors.NotAllowedError):
            keyring.ensure(tx, access.Actor("eve", access.Role.OWNER), secret="")


def test_a_key_of_another_project_cannot_be_revoked_from_here(database):
    made = make(database, project="risk")
    with database.write() as tx, pytest.raises(errors.NotFoundError):
        keyring.revoke(tx, ADA, made.key.id)
    assert keyring.Keyring(database).find(made.secret) is not None


def test_the_system_keeps_its_key_as_long_as_it_opens(database):
    def ensure(secret):
        with database.write() as tx:
            return keyring.ensure(tx, SERVING, secret=secret)

    first = ensure("")
    assert ensure(first.secret) == first
    assert first.key.kind == access.Kind.SYSTEM
    with database.write() as tx:
        keyring.revoke(tx, ADA, first.key.id)
    second = ensure(first.secret)
    assert second.key.id != first.key.id
    assert ensure(make(database).secret).key.name == "system:serving"
