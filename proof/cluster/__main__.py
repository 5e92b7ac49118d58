"""Three hosts on one GlusterFS volume behind haproxy: ``python -m proof.cluster [SCENARIO...]``.

Needs Linux, root, and Debian's glusterfs-server, haproxy and xfsprogs.  All of it is in namespaces of this run: no
interface, address, mount or process of it is seen elsewhere, and nothing stays of it.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

from proof.cluster import cluster, gluster
from proof.cluster.hosts import enter
from proof.cluster.scenarios import SCENARIOS


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proof.cluster", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of {', '.join(SCENARIOS)}; all of them")
    parser.add_argument("--rounds", type=int, default=5, help="how much of each")
    parser.add_argument("--set", type=_pair, action="append", default=[], help="an option of the volume, NAME=VALUE")
    parser.add_argument("--mount", default=gluster.MOUNT_OPTIONS, help="the options of the mounts")
    parser.add_argument("--arbiter", action="store_true", help="the third host has no data")
    parser.add_argument("--daemon", default="", help="more options of the daemons, e.g. '--auth zs3:FILE'")
    parser.add_argument("--run", metavar="COMMAND", help="instead of scenarios; what it asks is at 127.0.0.1:9000")
    options = parser.parse_args()
    enter()
    violations = 0
    with tempfile.TemporaryDirectory() as home:
        start = time.monotonic()
        with cluster.running(
            Path(home),
            gluster.OPTIONS | dict(options.set),
            options.mount,
            *shlex.split(options.daemon),
            arbiter=options.arbiter,
        ) as made:
            print(f"a cluster in {time.monotonic() - start:.0f} s", flush=True)
            if options.run:
                violations = subprocess.run(options.run, shell=True, check=False).returncode
            for name in options.scenarios or (() if options.run else SCENARIOS):
                start = time.monotonic()
                print(name, flush=True)
                try:
                    for each in SCENARIOS[name](made, options.rounds):
                        violations += 1
                        print(f"  WRONG: {each}", flush=True)
                except Exception:
                    violations += 1
                    traceback.print_exc()
                print(f"  {time.monotonic() - start:.0f} s", flush=True)
            for failure, number in made.failures().items():
                print(f"logged {number} times: {failure}")
    print(f"{violations} violations")
    return bool(violations)


if __name__ == "__main__":
    sys.exit(main())
