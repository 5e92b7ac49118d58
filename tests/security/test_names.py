"""Attacks by names: keys, buckets and ids that would be paths, links, twins; the numbers are those of the list."""

import os
import threading
from contextlib import contextmanager

import pytest

from tests.security.test_signatures import send, sign
from tests.wire.daemon import Daemon, parse, texts

SECRET = b"outside the bucket"

#: Keys that other servers took for paths, as they are after the escapes of the URL.
HOSTILE = [
    "../secret",
    "../../secret",
    "a/../../../secret",
    "..",
    ".",
    "./a",
    "a/./b",
    "a/..",
    "../music/song",
    "../.zs3/private/credentials.toml",
    "%2e%2e/secret",
    "%252e%252e/secret",
    "..%2fsecret",
    "..\\secret",
    "..%5csecret",
    "\\secret",
    "/etc/passwd",
    "//etc/passwd",
    "/",
    "//",
    "a//b",
    "a ",
    "a.",
    "a. ",
    "C:\\secret",
    ".zs3/private/credentials.toml",
    ".zs3",
    ".uploads",
    "file:///etc/passwd",
    "\u2024\u2024/secret",
    "\uff0e\uff0e/secret",
    "..;/secret",
    "~root/secret",
    "$HOME",
]


#: What there is in the data directory.
INSIDE = ("photos", "music", "secret", ".zs3", ".uploads")


@pytest.fixture
def daemon(tmp_path):
    """With a directory around its own that is of this test alone."""
    (tmp_path / "data").mkdir()
    daemon = Daemon(tmp_path / "data")
    yield daemon
    daemon.stop()


@pytest.fixture
def photos(daemon, client):
    """An admin's client, a bucket ``photos``, and what must not be touched around it."""
    client.put("/photos")
    client.put("/music")
    client.put("/music/song", SECRET)
    (daemon.data / "secret").write_bytes(SECRET)
    (daemon.data.parent / "secret").write_bytes(SECRET)
    yield client
    assert (daemon.data / "secret").read_bytes() == SECRET
    assert (daemon.data.parent / "secret").read_bytes() == SECRET
    assert [path.name for path in (daemon.data / "music").iterdir()] == ["song"]
    assert client("GET", "/music/song").body == SECRET
    assert not [path for path in daemon.data.iterdir() if path.name not in INSIDE]


@pytest.mark.parametrize("key", HOSTILE)
def test_23_a_key_is_a_name_and_never_a_path(daemon, photos, key):
    """CVE-2023-28433 of MinIO, CVE-2026-54917, and their kin: what is stored comes back under its key and no other."""
    path = f"/photos/{key}"
    for method in ("GET", "HEAD", "DELETE"):
        response = photos(method, path)
        assert SECRET not in response.body
        assert response.status in (204, 400, 404)
    response = photos("PUT", path, body=b"mine")
    if response.status == 200:
        assert photos("GET", path).body == b"mine"
        assert texts(parse(photos("GET", "/photos", {"list-type": "2"})), "Contents/Key") == [key]
        assert photos("DELETE", path).status == 204
    else:
        assert response.status == 400
    assert parse(photos("GET", "/photos")).find("Contents") is None


@pytest.mark.parametrize(
    "target",
    [
        "/photos/%c0%ae%c0%ae/secret",
        "/photos/..%c0%afsecret",
        "/photos/%e0%80%af",
        "/photos/%00",
        "/photos/a%00.txt",
        "/photos/..%00/secret",
        "/photos/%ed%a0%80",
        "/photos/%ff",
        "/photos/%",
        "/photos/%2",
        "/photos/%zz",
    ],
)
def test_23_what_is_no_name_is_refused_before_anything_is_opened(daemon, photos, target):
    """Overlong UTF-8, NUL and broken escapes, signed by who may do anything."""
    for method in ("GET", "PUT"):
        response = send(daemon, method, target, sign(daemon, method, target))
        assert response.status in (400, 403), response
        assert SECRET not in response.body


@pytest.mark.parametrize(
    "bucket", ["..", ".", ".zs3", ".uploads", ".buckets", ".sys", "%2e%2e", "..%2f", "photos%2f..", "photos\\.."]
)
def test_23_a_bucket_is_a_name_and_never_a_path(daemon, photos, bucket):
    for target in (f"/{bucket}", f"/{bucket}/", f"/{bucket}/secret", f"/{bucket}/private/credentials.toml"):
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            response = send(daemon, method, target, sign(daemon, method, target))
            assert 400 <= response.status < 500, response
            assert SECRET not in response.body


@pytest.mark.parametrize("key", HOSTILE)
def test_23_the_source_of_a_copy_is_a_name_and_never_a_path(photos, key):
    """CVE-2026-55874."""
    for source in (f"/photos/{key}", f"photos/{key}", key, f"/photos/{key}?versionId=../../secret"):
        if source == "../music/song":
            continue
        spelled = source.encode("utf-8").decode("latin-1")
        response = photos("PUT", "/photos/copy", headers={"x-amz-copy-source": spelled})
        assert 400 <= response.status < 500, (source, response)
    assert photos("GET", "/photos/copy").status == 404


@pytest.mark.parametrize("key", HOSTILE)
def test_23_keys_in_a_document_are_names_and_never_paths(photos, key):
    document = f"<Delete><Object><Key>{key}</Key></Object></Delete>".encode()
    response = photos.post_xml("/photos", {"delete": ""}, document)
    assert response.status == 200
    assert texts(parse(response), "Deleted/Key") + texts(parse(response), "Error/Key") == [key]


@pytest.mark.parametrize(
    "value", ["../../secret", "..%2f..", "/etc/passwd", ".", "..", "", "\x00", "a" * 5000, "*", "é"]
)
def test_23_ids_are_names_and_never_paths(daemon, photos, value):
    """The id of an upload or a version, and the number of a part."""
    for method, query in (
        ("PUT", {"uploadId": value, "partNumber": "1"}),
        ("GET", {"uploadId": value}),
        ("DELETE", {"uploadId": value}),
        ("GET", {"versionId": value}),
        ("DELETE", {"versionId": value}),
        ("GET", {"versionId": value, "tagging": ""}),
    ):
        response = photos(method, "/photos/key", query)
        assert 400 <= response.status < 500 or (method, response.status) == ("DELETE", 204), (method, query, response)
        assert SECRET not in response.body
    upload = photos("POST", "/photos/key", {"uploads": ""}).element("UploadId")
    for number in (value, "../1", "1/../../secret"):
        response = photos("PUT", "/photos/key", {"uploadId": upload, "partNumber": number}, body=b"x")
        assert response.status == 400
    assert photos("DELETE", "/photos/key", {"uploadId": upload}).status == 204


# Links ----------------------------------------------------------------------------------------------------------------


def test_24_links_in_a_bucket_lead_nowhere(daemon, photos):
    outside = daemon.data.parent / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(SECRET)
    bucket = daemon.data / "photos"
    (bucket / "file").symlink_to(outside / "file")
    (bucket / "directory").symlink_to(outside)
    (bucket / "up").symlink_to("..")
    (bucket / "self").symlink_to("self")
    (bucket / "proc").symlink_to("/proc/self/environ")
    for key in ("file", "directory/file", "up/secret", "up/music/song", "self", "proc", "directory/new"):
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            response = photos(method, f"/photos/{key}")
            assert SECRET not in response.body
            assert response.status < 500, (method, key, response)
        assert photos("PUT", "/photos/copy", headers={"x-amz-copy-source": f"/photos/{key}"}).status in (200, 404)
        assert SECRET not in photos("GET", "/photos/copy").body
    assert [path.name for path in outside.iterdir()] == ["file"]
    assert (outside / "file").read_bytes() == SECRET


def test_24_a_link_that_takes_the_place_of_a_directory_meanwhile_leads_nowhere(daemon, photos):
    """Looked at and opened are one: by ``openat2`` with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS, or step by step."""
    outside = daemon.data.parent / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(SECRET)
    bucket = daemon.data / "photos"
    photos.put("/photos/place/file", b"inside")
    (bucket / "link").symlink_to(outside)
    swaps = 0

    def swap():
        nonlocal swaps
        os.rename(bucket / "place", bucket / "aside")
        os.rename(bucket / "link", bucket / "place")
        os.rename(bucket / "place", bucket / "link")
        os.rename(bucket / "aside", bucket / "place")
        swaps += 1

    with meanwhile(swap):
        answers = [photos("GET", "/photos/place/file") for _ in range(300)]
    assert swaps
    assert {answer.body for answer in answers if answer.status == 200} <= {b"inside"}
    assert all(SECRET not in answer.body for answer in answers)


def test_24_a_link_that_takes_the_place_of_a_directory_meanwhile_is_not_written_through(daemon, photos):
    outside = daemon.data.parent / "outside"
    outside.mkdir()
    bucket = daemon.data / "photos"
    swaps = 0

    def swap():
        nonlocal swaps
        try:
            os.rename(bucket / "place", daemon.data.parent / f"away{swaps}")
        except FileNotFoundError:
            pass
        try:
            (bucket / "place").symlink_to(outside)
            (bucket / "place").unlink()
        except (FileExistsError, IsADirectoryError):
            pass
        swaps += 1

    with meanwhile(swap):
        for number in range(60):
            assert photos("PUT", f"/photos/place/{number}", body=b"x").status < 600
    assert swaps
    assert list(outside.iterdir()) == []


@contextmanager
def meanwhile(act):
    """Do something again and again in another thread."""
    done = threading.Event()

    def run():
        while not done.is_set():
            act()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


# Twins ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys",
    [
        ["a", "a/b", "a/b/c", "a/"],
        ["d/", "d"],
        ["caf\u00e9", "cafe\u0301"],
        ["File", "file", "FILE"],
        ["\u212a", "k", "K"],
        ["x" * 255, "x" * 256, "x" * 1024, "x" * 255 + "/y"],
        ["\u00e9" * 127, "\u00e9" * 512],
        [".zs3", ".zs3/tmp/x", ".zs3/lock", ".uploads/x", ".zs3/buckets/photos"],
        ["a%", "a%2F", "a%25", "a/", "a%2f"],
        ["a", "a.", "a ", " a", "a\t"],
        ["..", "...", "../", "/.."],
        ["/", "//"],
    ],
    ids=lambda keys: repr(keys[-1][:20]),
)
def test_25_keys_that_a_file_system_would_take_for_one_are_two(daemon, photos, keys):
    for key in keys:
        photos.put(f"/photos/{key}", key.encode())
    for key in keys:
        assert photos("GET", f"/photos/{key}").body == key.encode()
    listed = texts(parse(photos("GET", "/photos")), "Contents/Key")
    assert listed == sorted(keys, key=lambda key: key.encode())
    for position, key in enumerate(keys):
        assert photos("DELETE", f"/photos/{key}").status == 204
        for other in keys[position + 1 :]:
            assert photos("GET", f"/photos/{other}").body == other.encode()
    assert parse(photos("GET", "/photos")).find("Contents") is None


def test_25_names_of_files_that_the_daemon_made_are_not_keys(daemon, photos):
    """What lies on the disk for a key is reached by the key and not by the name of its file."""
    key = "a" * 300
    photos.put(f"/photos/{key}", b"long")
    photos.put("/photos/b", b"of a record", {"x-amz-meta-long": "x" * 1900})
    files = [str(path.relative_to(daemon.data)) for path in daemon.data.rglob("*")]
    for name in files:
        for target in (f"/photos/{name}", f"/photos/{name.removeprefix('photos/')}"):
            if target == "/photos/b":
                continue
            assert photos("GET", target).status in (400, 404), target


@pytest.mark.parametrize(
    "header",
    [
        "x-minio-internal-actual-object-size",
        "x-amz-meta-x-amz-unencrypted-content-length",
        "x-zs3-etag",
        "x-amz-etag",
        "x-rustfs-internal-compression",
        "x-minio-replication-server-side-encryption-sealed-key",
        "x-amz-meta-user.zs3",
        "user.zs3",
        "etag",
        "last-modified",
        "x-amz-version-id",
        "x-amz-delete-marker",
        "x-amz-mp-parts-count",
        "x-amz-replication-status",
        "x-amz-restore",
    ],
)
def test_26_no_header_sets_what_the_server_keeps_for_itself(photos, header):
    """CVE-2026-34204: internal metadata sent by the client."""
    photos.put("/photos/plain", b"content")
    response = photos("PUT", "/photos/other", headers={header: "evil"}, body=b"content")
    if response.status != 200:
        assert 400 <= response.status < 500 or response.status == 501
        return
    plain, other = (photos("HEAD", f"/photos/{key}").headers for key in ("plain", "other"))
    varying = ("x-amz-request-id", "x-amz-id-2", "date", "last-modified")
    if header.startswith("x-amz-meta-"):
        assert other.pop(header) == "evil"
    assert "evil" not in other.values()
    assert {name: value for name, value in plain.items() if name not in varying} == {
        name: value for name, value in other.items() if name not in varying
    }
    assert photos("GET", "/photos/other").body == b"content"


def test_26_what_is_said_of_an_object_is_not_in_the_host(daemon, photos):
    """A bucket named in Host is that bucket and no other."""
    for host in ("music.s3.test", "music", ".s3.test", "..s3.test"):
        response = send(daemon, "GET", "/photos/song", {**sign(daemon, path="/photos/song"), "host": host})
        assert 400 <= response.status < 500
        assert SECRET not in response.body
