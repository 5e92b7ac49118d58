"""Configurations of S3 clients, as text that each of them reads as it is.

Pure.  A value that the format of a client cannot hold is refused: half a secret
would only show as a signature that does not match.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

#: What stands for the secret key where it is not to be shown.
PLACEHOLDER = "SECRET_KEY"

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+").fullmatch
_REGION = re.compile(r"[a-z0-9-]{1,63}").fullmatch
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}").fullmatch


@dataclass(frozen=True, slots=True)
class Connection:
    """What a client has to know; see `check`.

    :ivar endpoint: the URL of the daemon, without a path.
    :ivar region: what requests are signed for.
    :ivar ca_file: an absolute path, on the client's machine, of what it shall trust; "" for what it trusts anyway.
    :ivar name: what the client shall call it: a profile, a remote.
    :ivar bucket: "" for none.
    """

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"
    ca_file: str = ""
    name: str = "zs3"
    bucket: str = ""

    @property
    def secure(self) -> bool:
        return self.endpoint.startswith("https:")

    @property
    def address(self) -> str:
        """Host and port."""
        return self.endpoint.partition("://")[2]


def check_endpoint(text: str) -> str:
    """An endpoint as the clients take it.

    :raises ValueError: it is none.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"{text} is no URL") from None
    scheme, host = parts.scheme.lower(), parts.hostname or ""
    if scheme not in ("http", "https") or not _HOST(host):
        raise ValueError(f"{text}: an endpoint is http://HOST:PORT or https://HOST:PORT")
    if parts.path.rstrip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(f"{text}: an endpoint is scheme, host and port, and nothing else")
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}" + ("" if port is None else f":{port}")


def check(connection: Connection) -> None:
    """:raises ValueError: for what no client could read, or what cannot be meant."""
    if not _NAME(connection.name):
        raise ValueError(f"{connection.name!r}: a name has 1 to 64 letters, digits or any of _ -")
    if not _REGION(connection.region):
        raise ValueError("lower-case letters, digits and - make a region, e.g. eu-central-1")
    if connection.bucket and not _BUCKET(connection.bucket):
        raise ValueError(f"{connection.bucket!r} is no name of a bucket")
    if connection.ca_file:
        if not connection.secure:
            raise ValueError("a file of certificates is for an endpoint that begins with https://")
        if not connection.ca_file.isprintable() or connection.ca_file != connection.ca_file.strip():
            raise ValueError(f"{connection.ca_file!r}: no configuration can hold such a path")


def aws(connection: Connection) -> str:
    """For `~/.aws/config`, which aws-cli and all SDKs of AWS read."""
    head = "[default]" if connection.name == "default" else f"[profile {connection.name}]"
    lines = [
        head,
        f"aws_access_key_id = {connection.access_key}",
        f"aws_secret_access_key = {connection.secret_key}",
        f"region = {connection.region}",
        f"endpoint_url = {connection.endpoint}",
        *([f"ca_bundle = {connection.ca_file}"] if connection.ca_file else []),
        # Buckets are in the path, whatever the host is called.
        "s3 =",
        "    addressing_style = path",
    ]
    return _joined(lines)


def environment(connection: Connection) -> str:
    """For a shell: what aws-cli and all SDKs of AWS read from the environment."""
    variables = {
        "AWS_ACCESS_KEY_ID": connection.access_key,
        "AWS_SECRET_ACCESS_KEY": connection.secret_key,
        "AWS_DEFAULT_REGION": connection.region,
        "AWS_REGION": connection.region,
        "AWS_ENDPOINT_URL": connection.endpoint,
        **({"AWS_CA_BUNDLE": connection.ca_file} if connection.ca_file else {}),
    }
    return _exports(variables)


def boto3(connection: Connection) -> str:
    """A piece of Python."""
    arguments = {
        "endpoint_url": connection.endpoint,
        "region_name": connection.region,
        "aws_access_key_id": connection.access_key,
        "aws_secret_access_key": connection.secret_key,
        **({"verify": connection.ca_file} if connection.ca_file else {}),
    }
    return _joined(
        [
            "import boto3",
            "from botocore.config import Config",
            "",
            "s3 = boto3.client(",
            '    "s3",',
            *(f"    {name}={_python(value)}," for name, value in arguments.items()),
            '    config=Config(s3={"addressing_style": "path"}),',
            ")",
        ]
    )


def rclone(connection: Connection) -> str:
    """For `rclone.conf`."""
    settings = {
        "type": "s3",
        "provider": "Other",
        "access_key_id": connection.access_key,
        "secret_access_key": connection.secret_key,
        "region": connection.region,
        "endpoint": connection.endpoint,
        **({"override.ca_cert": connection.ca_file} if connection.ca_file else {}),
    }
    return _joined(
        [f"[{connection.name}]", *(f"{name} = {_goconfig(name, value)}" for name, value in settings.items())]
    )


def restic(connection: Connection) -> str:
    """For a shell.  The password of the repository is the user's own."""
    variables = {
        "AWS_ACCESS_KEY_ID": connection.access_key,
        "AWS_SECRET_ACCESS_KEY": connection.secret_key,
        "AWS_DEFAULT_REGION": connection.region,
        "RESTIC_REPOSITORY": f"s3:{connection.endpoint}/{connection.bucket}",
        **({"RESTIC_CACERT": connection.ca_file} if connection.ca_file else {}),
    }
    if not connection.ca_file:
        return _exports(variables)
    # What Debian 12 has, 0.14, does not know that variable.
    return _exports(variables) + f'restic() {{ command restic --cacert {shlex.quote(connection.ca_file)} "$@"; }}\n'


def s3cmd(connection: Connection) -> str:
    """For `~/.s3cfg`."""
    secure = str(connection.secure)
    settings = {
        "access_key": connection.access_key,
        "secret_key": connection.secret_key,
        "bucket_location": connection.region,
        "host_base": connection.address,
        "host_bucket": connection.address,
        "use_https": secure,
        "signurl_use_https": secure,
        "check_ssl_certificate": "True",
        **({"ca_certs_file": connection.ca_file} if connection.ca_file else {}),
    }
    return _joined(["[default]", *(f"{name} = {_s3cfg(name, value)}" for name, value in settings.items())])


#: Each client by its name on the command line: what renders its configuration, and for people, what that is for.
CLIENTS: Mapping[str, tuple[Callable[[Connection], str], str]] = {
    "aws": (aws, "aws-cli and the AWS SDKs (--append ~/.aws/config)"),
    "boto3": (boto3, "boto3, a piece of Python"),
    "env": (environment, "aws-cli and the AWS SDKs, by the environment of a shell that sources it"),
    "rclone": (rclone, "rclone (--append ~/.config/rclone/rclone.conf)"),
    "restic": (restic, "restic, by the environment of a shell that sources it"),
    "s3cmd": (s3cmd, "s3cmd (--output ~/.s3cfg)"),
}


def _joined(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def _exports(variables: Mapping[str, str]) -> str:
    return _joined([f"export {name}={shlex.quote(value)}" for name, value in variables.items()])


def _python(text: str) -> str:
    """A literal, with double quotes where `repr` has no reason for others."""
    literal = ascii(text)
    return f'"{literal[1:-1]}"' if literal[0] == "'" and '"' not in literal and "\\'" not in literal else literal


def _goconfig(name: str, value: str) -> str:
    """A value as rclone's configuration reads it.

    There ``%(other)s`` is the value of another, and what begins with ` or three double quotes is quoted.
    """
    if re.search(r"%\([^)]+\)s", value):
        raise ValueError(f"rclone cannot read this {name} from a file, as it has %(...)s in it")
    if not value.startswith(("`", '"""')):
        return value
    if '"""' not in value and not value.endswith('"'):
        return f'"""{value}"""'
    if "`" not in value:
        return f"`{value}`"
    raise ValueError(f"rclone cannot read this {name} from a file, with ` and three double quotes in it")


def _s3cfg(name: str, value: str) -> str:
    """A value as s3cmd reads it: one that begins with $ is the name of a variable, and double quotes are taken off."""
    if value.startswith("$"):
        raise ValueError(f"s3cmd cannot read this {name} from a file, as it begins with $")
    return f'"{value}"' if value.startswith('"') else value
