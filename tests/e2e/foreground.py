"""`foreground twistd -n ... zs3 ...`, for pages of the manual: starts it as one types it, and returns when it serves.

The shell that runs a page has no second terminal.  A daemon that an earlier command of the
page started ends first, as by Ctrl-C.  Only what would leave this machine is changed: it listens on 127.0.0.1.
"""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

PATIENCE = 30


def stop(place: Path) -> None:
    """End the daemon that was started last, if there is one."""
    recorded = place / "daemon.pid"
    if not recorded.exists():
        return
    pid = int(recorded.read_text("ascii"))
    recorded.unlink()
    try:
        ended = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(ended, signal.SIGTERM)
        if not select.select([ended], [], [], PATIENCE)[0]:
            signal.pidfd_send_signal(ended, signal.SIGKILL)
            sys.exit("the daemon did not end")
    finally:
        os.close(ended)


def start(place: Path, command: list[str], port: str) -> None:
    """Start a daemon, and wait until it serves."""
    stop(place)
    if "--listen" not in command:
        command = [*command, "--listen", f"tcp:{port}"]
    command = [
        f"{each}:interface=127.0.0.1" if re.match(r"(haproxy:)?(tcp|ssl):(?!.*interface=)", each) else each
        for each in command
    ]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifications, (place / "daemon.log").open("ab") as log:
        notifications.bind("")
        process = subprocess.Popen(
            command,
            env={**os.environ, "NOTIFY_SOCKET": "@" + notifications.getsockname()[1:].decode("ascii")},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        (place / "daemon.pid").write_text(str(process.pid), "ascii")
        ended = os.pidfd_open(process.pid)
        while True:
            ready, _, _ = select.select([notifications, ended], [], [], PATIENCE)
            if notifications not in ready:
                tail = (place / "daemon.log").read_text("utf-8", "replace")[-2000:]
                sys.exit(f"the daemon {'ended' if ready else 'was not ready in time'}:\n{tail}")
            if b"READY=1" in notifications.recv(4096).splitlines():
                return


if __name__ == "__main__":
    start(Path(os.environ["ZS3_TEST_PLACE"]), sys.argv[1:], os.environ["ZS3_TEST_PORT"])
