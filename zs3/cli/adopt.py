"""`zs3 adopt`: restored buckets get back what was configured of them, and their older versions.

These belong to a bucket's directory and not to its name, so a copy of the directory
does not have them until somebody who may write here says so.  Works beside a daemon.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import TextIO

from zs3.errors import S3Error
from zs3.store.buckets import Buckets
from zs3.store.durability import Durability
from zs3.store.locks import WouldBlock

#: Seconds that a daemon may take to make a bucket.
_PATIENCE_S = 10.0
_PAUSE_S = 0.05


def add_command(parser: argparse.ArgumentParser) -> None:
    """Make the parser that of `zs3 adopt`."""
    parser.description = (
        "Gives directories that were restored from a backup, or copied to this machine, what belonged to the buckets "
        "that they are copies of: configuration and older versions. Without BUCKET, it does so for all directories "
        "that are called as their original was."
    )
    parser.add_argument("--data", metavar="DIR", required=True, help="the daemon's data directory")
    parser.add_argument("--dry-run", action="store_true", help="do nothing, and show what would be done")
    parser.add_argument("buckets", metavar="BUCKET", nargs="*", help="this one, whatever its original was called")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace, output: TextIO) -> None:
    internals = os.path.join(options.data, ".zs3")
    if not os.path.isdir(internals):
        raise ValueError(f"{options.data} is no data directory of a daemon")
    owner = os.stat(internals).st_uid
    if os.geteuid() == 0 != owner and not options.dry_run:
        # What root makes, the daemon could not read.
        raise ValueError(f"this must be run as the user that the daemon runs as: sudo -u '#{owner}' zs3 adopt ...")
    troubles: list[str] = []
    store = Buckets(os.fsencode(options.data), Durability(enabled=True, report=troubles.append), directory_mode=0o700)
    would = "would be " if options.dry_run else ""
    for name in options.buckets or [each.name for each in store.list(troubles.append)]:
        try:
            original = _adopt(store, name, pretend=True)
            if original and original != name and not options.buckets:
                output.write(f"{name}: left alone; it is a copy of {original}, and takes its place if it is named\n")
                continue
            if original and not options.dry_run:
                _adopt(store, name)
        except S3Error:
            troubles.append(f"{name}: there is no such bucket")
            continue
        except OSError as error:
            troubles.append(f"{name}: {error.strerror or error}")
            continue
        except ValueError as error:
            troubles.append(str(error))
            continue
        if original:
            output.write(f"{name}: {would}adopted{'' if original == name else f', in the place of {original}'}\n")
        elif options.buckets:
            output.write(f"{name}: there is nothing to adopt\n")
    if troubles:
        raise ValueError("; ".join(troubles))


def _adopt(store: Buckets, name: str, *, pretend: bool = False) -> str:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return store.adopt(name, pretend=pretend)
        except WouldBlock:
            if time.monotonic() > deadline:
                raise ValueError(f"{name}: a daemon keeps what is needed locked") from None
            time.sleep(_PAUSE_S)
