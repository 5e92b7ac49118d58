"""Messages to the service manager."""

import os
import socket

import pytest

from zs3.sdnotify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """(a socket that a service manager would listen on, its NOTIFY_SOCKET)."""
    name = f"@zs3-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        receiver.setblocking(False)
        yield receiver, name


def test_state_arrives_as_one_datagram(manager):
    receiver, name = manager
    Notifier({"NOTIFY_SOCKET": name}).send("READY=1\nSTATUS=ready")
    assert receiver.recv(100) == b"READY=1\nSTATUS=ready"


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "vsock:2:1234", "relative"])
def test_manager_that_is_not_there_is_no_failure(address):
    Notifier({"NOTIFY_SOCKET": address}).send("READY=1")


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_watchdog_is_kept_where_the_manager_asks_this_process_for_it(environ, seconds):
    assert Notifier({"NOTIFY_SOCKET": "/run/notify", **environ}).watchdog_seconds == seconds


def test_there_is_no_watchdog_without_a_manager():
    assert Notifier({"WATCHDOG_USEC": "30000000"}).watchdog_seconds is None
