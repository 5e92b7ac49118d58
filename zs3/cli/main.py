"""The program `zs3`, for those who run a daemon.  The daemon itself is `twistd zs3`.

argparse and not Twisted's `usage`: commands have commands here.  No command loads
a reactor.  Nothing secret is ever an argument.

Exit status: 0, it was done; 1, it was not, and standard error says why; 2, the
command line is wrong.  What gives another says so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TextIO

from zs3 import __version__
from zs3.cli import adopt, cert, clientconfig, doctor, lifecycle, policy, user, verify


def make_parser() -> argparse.ArgumentParser:
    """The command line; what parses has `run`, a function of itself and the stream to answer on.

    That gives the exit status, None for 0; `failure`, if there is one, is that of an error.
    """
    parser = argparse.ArgumentParser("zs3", description="Looks after what a zs3 daemon (twistd zs3) needs.")
    parser.add_argument("--version", action="version", version=f"zs3 {__version__}")
    groups = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    user.add_commands(groups.add_parser("user", help="who may sign requests, and with which keys"))
    cert.add_command(groups.add_parser("cert", help="a certificate for a LAN, made or shown"))
    policy.add_commands(groups.add_parser("policy", help="what policies say"))
    lifecycle.add_command(
        groups.add_parser("lifecycle", help="what the lifecycle rules of buckets ask for, shown or done now")
    )
    clientconfig.add_commands(groups.add_parser("client-config", help="a ready configuration of an S3 client"))
    doctor.add_command(groups.add_parser("doctor", help="what to change on this machine and in a data directory"))
    verify.add_command(groups.add_parser("verify", help="whether everything is as it was stored"))
    adopt.add_command(groups.add_parser("adopt", help="give restored buckets their configuration and older versions"))
    return parser


def main(arguments: Sequence[str], output: TextIO, errors: TextIO) -> int:
    """Run a command; gives the exit status.

    :raises SystemExit: for a wrong command line, and after `--help`.
    """
    options = make_parser().parse_args(arguments)
    try:
        status: int | None = options.run(options, output)
        output.flush()
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    except ValueError as error:
        reason = str(error)
    else:
        return status or 0
    errors.write(f"zs3: {reason}\n")
    return getattr(options, "failure", 1)


def run() -> int:
    """The console script."""
    return main(sys.argv[1:], sys.stdout, sys.stderr)
