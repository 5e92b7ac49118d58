"""aws-cli that has been loaded already: half a second less for each command that a page shows.

`serve` loads it once and forks for each command.  `client` is the program `aws` that the pages
find: it hands over its arguments, directory, environment and standard streams, and ends as the command does.
"""

from __future__ import annotations

import array
import json
import os
import signal
import socket
import sys
from pathlib import Path

#: Of the client, run without site-packages so that it starts at once.
CLIENT = """\
#!{python} -IS
import array, json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({path!r})
    told = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    streams = array.array("i", [0, 1, 2])
    server.sendmsg([len(told).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
    server.sendall(told)
    status = server.recv(1)
sys.exit(status[0] if status else 255)
"""


def write_client(program: Path, path: Path) -> None:
    """Make the program that asks the server at the socket `path`."""
    program.write_text(CLIENT.format(python=sys.executable, path=str(path)), "utf-8")
    program.chmod(0o755)


def serve(path: str) -> None:
    """Serve until standard input ends.  One process for each command."""
    from awscli.clidriver import create_clidriver

    create_clidriver()  # and with it most of what a command needs
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        print("ready", flush=True)
        while True:
            connection, _ = listening.accept()
            with connection:
                if os.fork() == 0:
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    listening.close()
                    _answer(connection)


def _answer(connection: socket.socket) -> None:
    """Run the command that a client asks for; ends the process."""
    streams = array.array("i")
    head, ancillary, _, _ = connection.recvmsg(4, socket.CMSG_SPACE(3 * streams.itemsize))
    streams.frombytes(ancillary[0][2])
    size = int.from_bytes(head, "big")
    told = b""
    while len(told) < size:
        told += connection.recv(size - len(told))
    arguments, directory, environment = json.loads(told)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(directory)
    own = {"AWS_DATA_PATH": os.environ["AWS_DATA_PATH"]}  # set when awscli was imported
    os.environ.clear()
    os.environ.update({**own, **environment})
    status = 255
    try:
        from awscli.clidriver import create_clidriver

        status = create_clidriver().main(arguments)
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        connection.sendall(bytes([status & 255]))
        os._exit(0)


if __name__ == "__main__":
    serve(sys.argv[1])
