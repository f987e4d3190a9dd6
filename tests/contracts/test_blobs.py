"""What every place for blobs must do: a folder and an S3-compatible bucket, both sealed."""

from __future__ import annotations

import concurrent.futures
import os
import subprocess
import sys

import boto3
import obstore
import pytest
from moto.server import ThreadedMotoServer
from obstore.store import LocalStore

from homeostat.foundation import blobs, ids
from homeostat.foundation.errors import (
    CorruptError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)

KEY = blobs.DataKey(project="default", owner="dataset:a", generation=1, secret=b"a" * 32)
OTHER = blobs.DataKey(project="default", owner="dataset:b", generation=1, secret=b"b" * 32)
FIVE_MB = os.urandom(5 * 1024 * 1024)


@pytest.fixture(scope="session")
def s3_endpoint():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["folder", "bucket"])
def store(request, tmp_path):
    if request.param == "folder":
        return blobs.open_store(str(tmp_path / "blobs"))
    endpoint = request.getfixturevalue("s3_endpoint")
    bucket = f"b-{ids.new_id()}"
    settings = {"s3_endpoint": endpoint, "s3_access_key": "k", "s3_secret_key": "s"}
    make_bucket(endpoint, bucket)
    return blobs.open_store(f"s3://{bucket}/home", **settings)


def make_bucket(endpoint, bucket):
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="k",
        aws_secret_access_key="s",
    )
    client.create_bucket(Bucket=bucket)
    client.close()


def raw(store):
    """The objects as another program would see them."""
    if store.place.startswith("s3://"):
        return store._objects._objects
    return LocalStore(store.place)


def names(store):
    return [meta["path"] for page in obstore.list(raw(store)) for meta in page]


def put(store, key, content):
    return store.put(key, content)


def receive(store, key, content, step=100_000):
    with store.receive(lambda: key) as intake:
        for at in range(0, len(content), step):
            intake.add([content[at : at + step]])
        return intake.finish()


WAYS = pytest.mark.parametrize("way", [put, receive])


@WAYS
@pytest.mark.parametrize(
    "content", [b"", b"x", FIVE_MB[: 4 << 20], FIVE_MB, FIVE_MB * 4], ids=len
)
def test_what_was_put_comes_back(store, content, way):
    blob = way(store, KEY, content)
    assert blob.size_bytes == len(content)
    assert store.exists(KEY, blob.digest)
    assert store.get(KEY, blob.digest) == content
    assert b"".join(store.stream(KEY, blob.digest)) == content


@WAYS
@pytest.mark.parametrize("start", [0, 1, 262_144, 1_048_575, 4_194_304, len(FIVE_MB) - 1])
def test_a_range_is_read_alone(store, way, start):
    blob = way(store, KEY, FIVE_MB)
    for end in (start, start + 1, start + 300_000, len(FIVE_MB), len(FIVE_MB) + 9, None):
        found = b"".join(store.stream(KEY, blob.digest, start=start, end=end))
        assert found == FIVE_MB[start:end]


def test_content_that_was_received_is_the_same_blob_as_content_that_was_put(store):
    blob = receive(store, KEY, FIVE_MB)
    assert store.put(KEY, FIVE_MB) == blob
    assert receive(store, KEY, FIVE_MB, step=7_777_777) == blob
    assert len(names(store)) == 1


def test_content_that_broke_off_leaves_nothing_behind(store):
    with store.receive(lambda: KEY) as intake:
        intake.add([FIVE_MB, FIVE_MB])
    with store.receive(lambda: KEY) as intake:
        intake.add([b"few"])
    intake.add([FIVE_MB])
    assert names(store) == []


def test_many_may_send_at_once(store):
    contents = [os.urandom(5 * 1024 * 1024 + n) for n in range(6)]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda content: receive(store, KEY, content), contents * 2))
    for blob, content in zip(found, contents * 2, strict=True):
        assert store.get(KEY, blob.digest) == content
    assert len(names(store)) == 6


def test_a_file_is_stored_as_its_bytes_are(store, tmp_path):
    path = tmp_path / "rows.parquet"
    path.write_bytes(FIVE_MB)
    assert store.put_file(KEY, path) == store.put(KEY, FIVE_MB)
    assert len(names(store)) == 1


def test_equal_content_of_one_owner_is_stored_once(store):
    assert store.put(KEY, b"same") == store.put(KEY, b"same")
    assert len(names(store)) == 1
    store.put(OTHER, b"same")
    assert len(names(store)) == 2


def test_writers_of_equal_content_do_not_disturb_each_other(store):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: store.put(KEY, FIVE_MB), range(16)))
    assert len(set(map(str, found))) == 1
    assert store.get(KEY, found[0].digest) == FIVE_MB
    assert len(names(store)) == 1


def test_names_and_bytes_tell_nothing(store):
    blob = store.put(KEY, b"a secret of somebody" * 100)
    (name,) = names(store)
    assert blob.digest not in name.replace("/", "")
    assert "dataset" not in name
    assert b"secret" not in bytes(obstore.get(raw(store), name).bytes())


def test_another_owner_does_not_find_it(store):
    blob = store.put(KEY, b"mine")
    assert not store.exists(OTHER, blob.digest)
    with pytest.raises(NotFoundError):
        store.get(OTHER, blob.digest)


@WAYS
def test_a_flipped_byte_is_found(store, way):
    blob = way(store, KEY, FIVE_MB)
    (name,) = names(store)
    stored = bytearray(obstore.get(raw(store), name).bytes())
    stored[len(stored) // 2] ^= 1
    obstore.put(raw(store), name, bytes(stored))
    with pytest.raises(CorruptError, match=blob.digest):
        store.get(KEY, blob.digest)


@WAYS
def test_a_cut_object_is_found(store, way):
    blob = way(store, KEY, FIVE_MB)
    (name,) = names(store)
    stored = bytes(obstore.get(raw(store), name).bytes())
    for kept in (0, 3, 4, 67, 68, 100, 68 + 262_160, 4 + (4 << 20) + 16, len(stored) - 1):
        obstore.put(raw(store), name, stored[:kept])
        with pytest.raises(CorruptError):
            store.get(KEY, blob.digest)


def test_what_was_never_put_is_not_found(store):
    with pytest.raises(NotFoundError):
        store.get(KEY, "0" * 64)
    assert not store.exists(KEY, "0" * 64)


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "0" * 63, "Z" * 64])
def test_what_is_no_digest_is_not_found(store, digest):
    with pytest.raises(NotFoundError, match="not a digest"):
        store.get(KEY, digest)


def test_deleting_twice_is_the_same_as_once(store):
    blob = store.put(KEY, b"old")
    store.delete(KEY, blob.digest)
    store.delete(KEY, blob.digest)
    assert not store.exists(KEY, blob.digest)
    assert store.put(KEY, b"old") == blob


def test_a_failed_write_leaves_nothing_behind(store, tmp_path):
    with pytest.raises(NotFoundError, match="no file"):
        store.put_file(KEY, tmp_path / "missing")

    def breaking(**_):
        yield b"first"
        raise RuntimeError("the source broke")

    with pytest.raises(Exception, match="the source broke"):
        store._write(KEY, "0" * 64, breaking())
    assert names(store) == []


@WAYS
def test_a_symbolic_link_in_place_of_an_object_is_not_followed(tmp_path, way):
    store = blobs.open_store(str(tmp_path / "blobs"))
    blob = way(store, KEY, FIVE_MB)
    (name,) = names(store)
    path = tmp_path / "blobs" / name
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    with pytest.raises(CorruptError, match="symbolic link"):
        store.get(KEY, blob.digest)


def test_what_a_dead_process_was_writing_is_removed_a_day_later(tmp_path):
    store = blobs.open_store(str(tmp_path / "blobs"))
    old, new = store.receive(lambda: KEY), store.receive(lambda: KEY)
    old.add([FIVE_MB])
    (left,) = (tmp_path / "blobs" / "incoming").iterdir()
    os.utime(left, (1, 1))
    new.add([FIVE_MB])
    blobs.open_store(str(tmp_path / "blobs"))
    assert not left.exists()
    assert store.get(KEY, new.finish().digest) == FIVE_MB
    old.abandon()


def test_a_folder_that_cannot_be_one_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InvalidInputError, match="cannot live in"):
        blobs.open_store(str(tmp_path / "file" / "blobs"))
    with pytest.raises(InvalidInputError, match="cannot live at"):
        blobs.open_store("ftp://host/x")
    with pytest.raises(InvalidInputError, match="names no bucket"):
        blobs.open_store("s3://")


def test_a_missing_bucket_is_said_to_be_missing(s3_endpoint):
    store = blobs.open_store(
        "s3://no-such-bucket", s3_endpoint=s3_endpoint, s3_access_key="k", s3_secret_key="s"
    )
    with pytest.raises((UnavailableError, NotFoundError), match="no-such-bucket"):
        store.put(KEY, b"x")


FILL = """
import resource, sys
from homeostat.foundation import blobs, errors
store = blobs.open_store(sys.argv[1])
key = blobs.DataKey(project="p", owner="o", generation=1, secret=b"a" * 32)
small = store.put(key, b"small")
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    if sys.argv[2] == "put":
        store.put(key, bytes(9_000_000))
    with store.receive(lambda: key) as intake:
        intake.add([bytes(9_000_000)])
        intake.finish()
except errors.UnavailableError as error:
    print(error)
assert store.get(key, small.digest) == b"small"
"""


@pytest.mark.parametrize("way", ["put", "receive"])
def test_a_disk_without_room_is_one_sentence_and_leaves_nothing(tmp_path, way):
    folder = tmp_path / "blobs"
    command = [sys.executable, "-c", FILL, str(folder), way]
    told = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    assert told.stdout.startswith(f"the blob store {folder} does not answer as it should: ")
    assert told.stdout.count("\n") == 1
    assert "disk is not full" in told.stdout
    assert "Traceback" not in told.stderr
    objects = [path for path in folder.rglob("*") if path.is_file()]
    assert [path.stat().st_size < 100 for path in objects] == [True]
