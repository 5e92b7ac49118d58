"""s3cmd."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.conftest import Run
from tests.e2e.daemon import ACCESS_KEY, SECRET_KEY, Endpoint
from tests.e2e.plainhttp import fetch

S3cmd = Callable[..., str]


def command(run: Run, endpoint: Endpoint, tmp_path: Path) -> S3cmd:
    settings = {
        "access_key": ACCESS_KEY,
        "secret_key": SECRET_KEY,
        "host_base": endpoint.address,
        "host_bucket": endpoint.address,
        "use_https": str(endpoint.secure),
        "signurl_use_https": str(endpoint.secure),
        "check_ssl_hostname": "True",
    }
    if endpoint.secure:
        settings["ca_certs_file"] = str(endpoint.certificate)
    config = tmp_path / "s3cfg"
    config.write_text("[default]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items()))
    return partial(run, "s3cmd", "--config", config, "--no-progress")


@pytest.fixture
def s3cmd(run: Run, endpoint: Endpoint, tmp_path: Path) -> S3cmd:
    return command(run, endpoint, tmp_path)


def names(listing: str) -> list[str]:
    return sorted(line.partition("s3://")[2].partition("/")[2] for line in listing.splitlines())


def test_a_day_with_s3cmd(s3cmd: S3cmd, endpoint: Endpoint, bucket: str, large_file: Path, tmp_path: Path) -> None:
    url = f"s3://{bucket}"
    s3cmd("mb", url)
    assert url in s3cmd("ls")
    assert "Location" in s3cmd("info", url)

    (tmp_path / "small.txt").write_text("small")
    s3cmd("put", "--mime-type", "text/x-test", tmp_path / "small.txt", f"{url}/dir/two words ü.txt")
    s3cmd("put", tmp_path / "small.txt", f"{url}/top.txt")
    info = s3cmd("info", f"{url}/dir/two words ü.txt")
    assert "text/x-test" in info
    assert "eb5c1399a871211c7e7ed732d15e3a8b" in info
    assert names(s3cmd("ls", url)) == ["dir/", "top.txt"]
    assert names(s3cmd("ls", "--recursive", url)) == ["dir/two words ü.txt", "top.txt"]

    # 15 MiB a part is what s3cmd does by itself.
    s3cmd("put", large_file, f"{url}/large")
    s3cmd("get", f"{url}/large", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == large_file.read_bytes()
    s3cmd("cp", f"{url}/large", f"{url}/copy of large")
    s3cmd("mv", f"{url}/top.txt", f"{url}/moved.txt")
    assert names(s3cmd("ls", url)) == ["copy of large", "dir/", "large", "moved.txt"]
    s3cmd("modify", "--add-header", "Cache-Control: no-cache", f"{url}/moved.txt")
    s3cmd("get", f"{url}/moved.txt", tmp_path / "small back")
    assert (tmp_path / "small back").read_text() == "small"

    given = s3cmd("signurl", f"{url}/moved.txt", "+60").strip()
    answer = fetch(endpoint, given)
    assert (answer.body, answer.headers["Cache-Control"]) == (b"small", "no-cache")

    for name in ("one", "deep/two"):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text(name)
    s3cmd("sync", f"{tmp_path}/tree/", f"{url}/tree/")
    s3cmd("sync", f"{url}/tree/", f"{tmp_path}/tree back/")
    assert (tmp_path / "tree back/deep/two").read_text() == "deep/two"

    s3cmd("del", f"{url}/large")
    s3cmd("del", "--recursive", "--force", url)
    assert s3cmd("ls", url) == ""
    s3cmd("rb", url)
    assert url not in s3cmd("ls")
