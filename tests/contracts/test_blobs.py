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


def names(store):
    return [meta["path"] for page in obstore.list(store._objects) for meta in page]


@pytest.mark.parametrize("content", [b"", b"x", FIVE_MB, FIVE_MB * 4], ids=len)
def test_what_was_put_comes_back(store, content):
    blob = store.put(KEY, content)
    assert blob.size_bytes == len(content)
    assert store.exists(KEY, blob.digest)
    assert store.get(KEY, blob.digest) == content
    assert b"".join(store.stream(KEY, blob.digest)) == content


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
    assert b"secret" not in bytes(obstore.get(store._objects, name).bytes())


def test_another_owner_does_not_find_it(store):
    blob = store.put(KEY, b"mine")
    assert not store.exists(OTHER, blob.digest)
    with pytest.raises(NotFoundError):
        store.get(OTHER, blob.digest)


def test_a_flipped_byte_is_found(store):
    blob = store.put(KEY, FIVE_MB)
    (name,) = names(store)
    stored = bytearray(obstore.get(store._objects, name).bytes())
    stored[len(stored) // 2] ^= 1
    obstore.put(store._objects, name, bytes(stored))
    with pytest.raises(CorruptError, match=blob.digest):
        store.get(KEY, blob.digest)


def test_a_cut_object_is_found(store):
    blob = store.put(KEY, FIVE_MB)
    (name,) = names(store)
    stored = bytes(obstore.get(store._objects, name).bytes())
    for kept in (0, 3, 4, 100, 4 + 4 * 1024 * 1024 + 16, len(stored) - 1):
        obstore.put(store._objects, name, stored[:kept])
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
    store.put(key, bytes(9_000_000))
except errors.UnavailableError as error:
    print(error)
assert store.get(key, small.digest) == b"small"
"""


def test_a_disk_without_room_is_one_sentence_and_leaves_nothing(tmp_path):
    folder = tmp_path / "blobs"
    command = [sys.executable, "-c", FILL, str(folder)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout.startswith(f"the blob store {folder} does not answer as it should: ")
    assert "disk is not full" in told.stdout
    assert "Traceback" not in told.stderr
    objects = [path for path in folder.rglob("*") if path.is_file()]
    assert [path.stat().st_size < 100 for path in objects] == [True]
