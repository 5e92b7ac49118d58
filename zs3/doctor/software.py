"""The kernel and the libraries that are in use.

Blocking; loads no library for it, but for OpenSSL.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from importlib import metadata

from cryptography.hazmat.backends.openssl import backend

from zs3 import __version__
from zs3.doctor.findings import Finding, note, ok, warning

_LIBRARIES = ("twisted", "pyopenssl", "cryptography", "awscrt", "lxml")


def examine() -> Iterator[Finding]:
    """The kernel, then what runs on it."""
    yield judge_kernel(os.uname().release)
    found = {"zs3": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        found[name] = metadata.version(name)
    found["openssl"] = backend.openssl_version_text()
    yield ok("software.versions", ", ".join(f"{name} {version}" for name, version in found.items()), **found)


def judge_kernel(release: str) -> Finding:
    """:param release: of Linux, as `uname -r` tells it."""
    check, fact = "software.kernel", f"Linux {release}"
    found = re.match(r"(\d+)\.(\d+)", release)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    if version >= (6, 13):
        return ok(check, fact, release=release)
    if version >= (5, 12):
        advice = "nothing needs to change; from 6.13 on listings are remembered better where files come and go"
        return note(check, fact, advice, release=release)
    advice = "Linux 5.12 or newer: reads take a thread each, and paths are walked step by step"
    return warning(check, fact, advice, release=release)
