"""`zs3 cert`: a certificate for a LAN, made or shown.

A daemon with ``--listen ssl:9443`` finds it in its data directory.  One that shows it
already takes a new one by itself.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import stat
from contextlib import suppress
from datetime import UTC, datetime
from typing import TextIO

from zs3.auth.generated import fsync_directory
from zs3.store.durability import Durability
from zs3.store.internals import Internals
from zs3.tls import files, pem, selfsigned
from zs3.tls.certificates import explain, validity

_HELP = """\
Start the daemon with --listen ssl:9443{arguments}; one that shows this certificate already takes the new one by itself.

Clients have to be told of {crt}, which is no secret:
  aws-cli, boto3 and the like   export AWS_CA_BUNDLE={name}
  rclone                        --ca-cert {name}
  restic                        --cacert {name}
  s3cmd                         --ca-certs={name}
  curl                          --cacert {name}
  browsers, phones              import it as an authority (root certificate) for websites
The authority in it has signed this one certificate and can sign no other: its key is not kept. So the next certificate
comes with another {name}.
"""


def add_command(parser: argparse.ArgumentParser) -> None:
    """Make the parser that of `zs3 cert`."""
    parser.description = (
        "Makes a certificate for a LAN, or shows it. By default it is for the host name of this machine, the same with "
        ".local, localhost, and the addresses of this machine."
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--data", metavar="DIR", help="the daemon's data directory: the file is .zs3/tls/server.pem in it"
    )
    where.add_argument("-o", "--output", metavar="FILE", help="the file for key and certificate")
    parser.add_argument(
        "--name", metavar="HOST", action="append", help="a host name (or *.NAME) or IP address; may be repeated"
    )
    parser.add_argument(
        "--days",
        metavar="N",
        type=_days,
        default=selfsigned.USUAL_DAYS,
        help="how long it is valid; default: %(default)s",
    )
    parser.add_argument("--force", action="store_true", help="replace the one that is there")
    parser.add_argument("--show", action="store_true", help="make nothing, and show the one that is there")
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    parser.set_defaults(run=_run, parser=parser)


def _days(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= selfsigned.MOST_DAYS:
        raise argparse.ArgumentTypeError(f"a number from 1 to {selfsigned.MOST_DAYS} is needed")
    return int(text)


def _run(options: argparse.Namespace, output: TextIO) -> None:
    if options.show:
        if options.name or options.force or options.days != selfsigned.USUAL_DAYS:
            options.parser.error("--show makes nothing: --name, --days and --force are of no use")
        _show(options, output, _path(options))
    else:
        _make(options, output)


def _path(options: argparse.Namespace) -> str:
    if options.data is None:
        return os.path.abspath(str(options.output))
    data = os.path.abspath(options.data)
    if not os.path.isdir(data):
        raise ValueError(f"{data} is {'not a directory' if os.path.lexists(data) else 'not there'}")
    return os.path.join(data, ".zs3", "tls", "server.pem")


def _make(options: argparse.Namespace, output: TextIO) -> None:
    path = _path(options)
    names = [selfsigned.read_name(each) for each in options.name or ()] or selfsigned.names_of_this_machine()
    crt = _beside(path)
    if crt == path:
        raise ValueError(f"{path}: a name like server.pem is needed; the certificate alone is to be the .crt beside it")
    for each in (path, crt):
        if os.path.lexists(each) and not options.force:
            raise ValueError(f"{each} is there already: --show tells what it is, and --force replaces it")
    owner = None
    if options.data is not None:
        owner = os.stat(options.data)
        _make_directory(os.path.abspath(options.data), owner)
    made = selfsigned.make(names, options.days)
    # First what clients need: a daemon that shows the new one before anybody can have it helps nobody.
    _write(crt, made.authority, 0o644, owner)
    _write(path, made.server, 0o600, owner)
    _show(options, output, path)
    if options.json:
        return
    arguments = "" if options.data is not None else f":privateKey={path}"
    output.write("\n" + _HELP.format(crt=crt, name=os.path.basename(crt), arguments=arguments))
    if options.days > selfsigned.APPLE_DAYS:
        output.write(f"Apple's devices take no certificate that is valid for more than {selfsigned.APPLE_DAYS} days.\n")


def _make_directory(data: str, owner: os.stat_result) -> None:
    """Make ``.zs3/tls`` where it is missing: who can write to it could put another certificate there."""
    internals = os.path.join(data, ".zs3")
    if not os.path.lexists(internals):
        durability = Durability(enabled=True, report=lambda _: None)
        Internals(os.fsencode(data), durability).make_directory(os.fsencode(internals))
        _give(internals, owner)
    directory = os.path.join(internals, "tls")
    with suppress(FileExistsError):
        os.mkdir(directory, 0o700)
        os.chmod(directory, 0o700)  # whatever the umask
        _give(directory, owner)
        fsync_directory(internals)


def _give(path: str | int, owner: os.stat_result | None) -> None:
    """Root makes it for the daemon, whose the data directory is."""
    if owner is not None and os.geteuid() == 0:
        os.chown(path, owner.st_uid, owner.st_gid)


def _write(path: str, data: bytes, mode: int, owner: os.stat_result | None) -> None:
    """Put a file in place of another, whole and durable or not at all."""
    temporary = f"{path}.{secrets.token_hex(8)}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            _give(fd, owner)
            os.fchmod(fd, mode)
            file.write(data)
            file.flush()
            os.fsync(fd)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    fsync_directory(os.path.dirname(path))


def _show(options: argparse.Namespace, output: TextIO, path: str) -> None:
    try:
        found = files.read(path).contents
        pair = pem.pair(found.keys, found.certificates)
    except OSError as error:
        how = f"; `zs3 cert --data {options.data}` makes one" if options.data and not os.path.lexists(path) else ""
        raise ValueError(f"{path}: {explain(error)}{how}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    wrong = validity(pair, datetime.now(UTC))
    valid = wrong is None or wrong.startswith("expires")
    names = [*pair.names, *map(str, pair.addresses)]
    fingerprint, above = pem.fingerprint(pair.certificate), [pem.fingerprint(each) for each in pair.chain]
    if options.json:
        about = {
            "file": path,
            "names": names,
            "begins": pair.certificate.not_valid_before_utc.isoformat(),
            "expires": pair.expires.isoformat(),
            "valid": valid,
            "sha256": fingerprint,
            "chain_sha256": above,
        }
        output.write(json.dumps(about, indent=2) + "\n")
    else:
        output.write(f"{path}: a certificate with its private key\n")
        output.write(
            f"  for      {', '.join(''.join(c if c.isprintable() else '?' for c in each) for each in names)}\n"
        )
        output.write(f"  until    {pair.expires:%Y-%m-%d %H:%M} UTC\n")
        output.write(f"  SHA-256  {fingerprint}\n")
        output.writelines(f"  issuer   {each}\n" for each in above)
        # A group may: the daemon's user is given keys by one.
        if stat.S_IMODE(os.stat(path).st_mode) & (stat.S_IRWXO | stat.S_IWGRP):
            output.write("  Others may read the private key: chmod 600\n")
        if not _is_of(_beside(path), pair):
            output.write(f"  {_beside(path)} is of another one: clients that trust it will refuse this one\n")
        if wrong is not None:
            output.write(f"  It {wrong}\n")
    if not valid:
        raise ValueError(f"{path}: the certificate {wrong}")


def _beside(path: str) -> str:
    """Where the certificate for clients is."""
    return os.path.splitext(path)[0] + ".crt"


def _is_of(crt: str, pair: pem.Pair) -> bool:
    """Whether clients that trust what is in `crt` trust the certificate; also if there is no such file."""
    try:
        certificates = files.read(crt).contents.certificates
    except (OSError, ValueError):
        return not os.path.lexists(crt)
    return any(each in (pair.certificate, *pair.chain) for each in certificates)
