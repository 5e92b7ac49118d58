"""`twistd zs3`: the options, and the daemon they make.

The only importer of the global reactor, and that as late as possible, so that
`twistd --reactor` is heard.  What is made of the parts is told in `zs3.assembly`.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from twisted.application.service import IService
from twisted.cred import strcred
from twisted.python import usage

from zs3.addresses import Networks
from zs3.assembly import first_start, server, supervisor
from zs3.auth.access import ENFORCED, OWNERSHIPS
from zs3.auth.credentials import ISignedRequest, IUserDirectory, UsersChecker, UsersFileChecker
from zs3.auth.generated import credentials_path
from zs3.auth.users import make_users
from zs3.console.origins import is_origin
from zs3.events import targets
from zs3.events.webhook import Webhook
from zs3.inherited import inherit_endpoint
from zs3.lifecycle.evaluation import REAL_DAY, Day
from zs3.listen import make_endpoint
from zs3.messages import MessageChannel
from zs3.sdnotify import Notifier
from zs3.service import NotifyService, SignalService, describe
from zs3.web.accesslog import FORMATS
from zs3.web.admission import Rate
from zs3.worker import FIRST_SOCKET_FD, ObedientService, die

_HOST_NAME = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*").fullmatch


def octal(text: str) -> int:
    """A file mode like 640; `ValueError` if it is none."""
    if not re.fullmatch("0?[0-7]{3}", text):
        raise ValueError("a mode is three octal digits, e.g. 640")
    return int(text, 8)


def count(text: str) -> int:
    """A whole number of at least one; `ValueError` if it is none."""
    if not re.fullmatch("[0-9]{1,4}", text) or int(text) == 0:
        raise ValueError("a number from 1 to 9999 is needed")
    return int(text)


def mebibytes(text: str) -> int:
    """A whole number of zero or more; `ValueError` if it is none."""
    if not re.fullmatch("[0-9]{1,6}", text):
        raise ValueError("a number of MiB is needed")
    return int(text)


def workers(text: str) -> int:
    """How many processes are to serve; 0 stands for the cores there are.  `ValueError` if it is no number."""
    if not re.fullmatch("[0-9]{1,3}", text):
        raise ValueError("a number from 0 to 999 is needed")
    return int(text) or len(os.sched_getaffinity(0))


def day(text: str) -> Day:
    """How long a day of lifecycle rules is, at least one second and at most a real day; `ValueError` if it is none."""
    length = seconds(text)
    if not 1 <= length <= REAL_DAY:
        raise ValueError(f"a number of seconds from 1 to {REAL_DAY:.0f} is needed")
    return Day(length)


def seconds(text: str) -> float:
    """A time of zero or more seconds; `ValueError` if it is none."""
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text):
        raise ValueError("a number of seconds is needed")
    return float(text)


def timeout(text: str) -> float:
    """A time of at least a second; `ValueError` if it is none."""
    if (found := seconds(text)) < 1:
        raise ValueError("a second is the least")
    return found


def limit(text: str) -> int:
    """A whole number, 0 for no limit; `ValueError` if it is none."""
    if not re.fullmatch("[0-9]{1,7}", text):
        raise ValueError("a number is needed, or 0 for no limit")
    return int(text)


_CONVERSIONS: dict[str, Callable[[str], int | float | Day | Rate]] = {
    "file-mode": octal,
    "dir-mode": octal,
    "threads": count,
    "workers": workers,
    "drain-timeout": seconds,
    "max-connections": limit,
    "address-connections": limit,
    "address-requests": Rate.parse,
    "idle-timeout": timeout,
    "head-timeout": timeout,
    "body-timeout": timeout,
    "send-timeout": timeout,
    "lifecycle-day": day,
    "cache-size": mebibytes,
}


#: The options that say where something is served, and where it is if they do not.
LISTENERS: dict[str, list[str]] = {"listen": ["tcp:9000"], "console": [], "metrics": []}


class Options(usage.Options, strcred.AuthOptionMixin):
    """The options of `twistd zs3`.

    After `postOptions` all of them are checked, `data` and `access-log` are absolute paths, `endpoints` has a list
    of (description, endpoint) for each of `LISTENERS`, and `users` is what knows the users.

    :param inherited: the descriptors of the sockets that are bound already, one for each endpoint.
    :ivar arguments: what was parsed.
    :ivar directory: where that was, and what relative paths refer to.
    """

    supportedInterfaces = (ISignedRequest,)

    synopsis = "--data DIR [options]"
    longdesc = (
        "An S3 server over a directory of plain files: every directory in DIR is a bucket, every file in it an "
        "object. Without --auth the key pair is taken from ZS3_ACCESS_KEY and ZS3_SECRET_KEY in the environment; "
        "without those, one is made at the first start and kept in DIR/.zs3/private/credentials."
    )

    optParameters = [
        ["data", "d", None, "The directory that holds the buckets."],
        ["object-ownership", None, ENFORCED, ("That of the buckets without ownership controls of their own: "
                                              "BucketOwnerEnforced (ACLs are disabled), BucketOwnerPreferred or "
                                              "ObjectWriter.")],
        ["region", None, None, "The only region that requests may be signed for. By default any is."],
        ["sync", None, "on", "on: an answered write survives a power failure. off: faster, and it may not."],
        ["file-mode", None, "600", "The permissions of the files made for objects, octal."],
        ["dir-mode", None, "700", "The permissions of the directories made for buckets and prefixes, octal."],
        ["s3-url", None, None, ("Where clients reach S3, for the links that the console makes, e.g. "
                                "https://s3.home.lan. By default the console's host, and the port of --listen.")],
        ["access-log", None, None, ("Where a line for every request goes: - (standard output), a file, or off. "
                                    "By default -, or off when running as a daemon in the background.")],
        ["access-log-format", None, "text", "text or json."],
        ["threads", None, "16", "The most threads that work on the disk at once, in each worker."],
        ["cache-size", None, "32", "MiB of memory for what listings remember, 0 for none."],
        ["workers", None, "1", "The processes that serve; 0 for one on every processor core."],
        ["event-targets", None, None, ("A TOML file of the targets that buckets may send event notifications to; "
                                       "without it there are none.")],
        ["lifecycle-day", None, "86400", ("Seconds that lifecycle rules take for a day. Less is for tests alone: "
                                          "objects expire that much earlier.")],
        ["drain-timeout", None, "30", "Seconds that running requests are given to end when the daemon stops."],
        ["max-connections", None, "0", ("The most connections at a time, in each worker; 0 for as many as the limit of "
                                        "open files has room for.")],
        ["address-connections", None, "2000", ("The most connections of a client's address at a time, in each worker; "
                                               "0 for any number.")],
        ["address-requests", None, "0", ("RATE or RATE:BURST: the requests in a second that a client's address may "
                                         "make, in each worker, and how many at once after a pause (by default RATE). "
                                         "A new connection counts as one. 0 for any number.")],
        ["idle-timeout", None, "60", ("Seconds that a connection may wait for a request, and for the handshake of "
                                      "TLS.")],
        ["head-timeout", None, "30", "Seconds that the head of a request may take."],
        ["body-timeout", None, "60", "Seconds that a client may send nothing of a body, before the request fails."],
        ["send-timeout", None, "300", "Seconds that a client may take nothing of an answer, before it is cut."],
    ]  # fmt: skip

    optFlags = [
        ["no-sigv2", None, "Refuse presigned URLs of the old signature version 2."],
        ["no-watch", None, "Announce only what is done through S3, and not what other programs change in the buckets."],
        ["immutable", None, "Set the immutable flag of the files of locked versions, as chattr +i; it takes a right."],
    ]

    compData = usage.Completions(
        optActions={
            "data": usage.CompleteDirs(descr="data directory"),
            "object-ownership": usage.CompleteList(list(OWNERSHIPS)),
            "sync": usage.CompleteList(["on", "off"]),
            "access-log": usage.CompleteFiles(),
            "event-targets": usage.CompleteFiles(),
            "access-log-format": usage.CompleteList(list(FORMATS)),
        }
    )

    def __init__(self, inherited: Sequence[int] = ()) -> None:
        super().__init__()
        for option in LISTENERS:
            self[option] = []
        self["domain"] = []
        self["website-domain"] = []
        self["unlimited"] = []
        self._inherited = inherited
        self.arguments: list[str] = []
        self.directory = ""

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Take the options, by default those of the command line, and check them; raises `UsageError`."""
        self.arguments = list(sys.argv[1:] if options is None else options)
        self.directory = os.getcwd()
        super().parseOptions(self.arguments)

    def opt_auth(self, description: str) -> None:
        """Who may sign requests: zs3:FILE is a TOML file of users, see --help-auth-type zs3."""
        # In place of the mixin's, which trips over checkers of several interfaces, and calls a mistake unexpected.
        kind = description.partition(":")[0]  # the rest can be a password
        try:
            self.addChecker(strcred.makeChecker(description))
        except strcred.UnsupportedInterfaces:
            raise usage.UsageError(f"--auth {kind}: these users cannot sign requests, see --help-auth") from None
        except strcred.InvalidAuthType:
            raise usage.UsageError(f"--auth {kind}: there is no such type, see --help-auth") from None
        except Exception as error:  # each type raises what it likes
            raise usage.UsageError(f"--auth {kind}: {describe(error)}") from None

    def opt_listen(self, description: str) -> None:
        """Where to listen, e.g. ssl:9443 or tcp:9000:interface=127.0.0.1; may be repeated. [default: tcp:9000]"""
        self["listen"].append(description)

    def opt_console(self, description: str) -> None:
        """Where to serve the console, a web page for people, e.g. tcp:9001; may be repeated. By default nowhere."""
        self["console"].append(description)

    def opt_metrics(self, description: str) -> None:
        """Where Prometheus finds the metrics, e.g. tcp:9100:interface=127.0.0.1; may be repeated."""
        self["metrics"].append(description)

    def opt_domain(self, name: str) -> None:
        """A host name below which buckets are host names too (BUCKET.NAME); may be given several times."""
        self["domain"].append(name.lower().rstrip("."))

    def opt_website_domain(self, name: str) -> None:
        """A host name below which buckets are websites (BUCKET.NAME); may be given several times."""
        self["website-domain"].append(name.lower().rstrip("."))

    def opt_unlimited(self, network: str) -> None:
        """An address or network that no limit per address is for, e.g. 192.0.2.7 or fd00::/8; may be given several
        times. [default: 127.0.0.0/8 and ::1]"""
        self["unlimited"].append(network)

    def postOptions(self) -> None:
        """Check everything; raises `UsageError`."""
        self._convert()
        self._check_words()
        self._check_data()
        self._check_access_log()
        self._check_event_targets()
        self["users"] = self._users()
        self["endpoints"] = self._endpoints()

    def _convert(self) -> None:
        # Not as the options' own coercion: that leaves the defaults as they are, and its error names no option.
        for name, convert in _CONVERSIONS.items():
            try:
                self[name] = convert(self[name])
            except ValueError as error:
                raise usage.UsageError(f"--{name}: {error}") from None

    def _check_words(self) -> None:
        if self["sync"] not in ("on", "off"):
            raise usage.UsageError("--sync: on or off")
        if self["object-ownership"] not in OWNERSHIPS:
            raise usage.UsageError(f"--object-ownership: {' or '.join(OWNERSHIPS)}")
        if self["access-log-format"] not in FORMATS:
            raise usage.UsageError(f"--access-log-format: {' or '.join(FORMATS)}")
        try:
            self["unlimited"] = Networks(self["unlimited"] or ("127.0.0.0/8", "::1"))
        except ValueError as error:
            raise usage.UsageError(f"--unlimited: {error}") from None
        for option in ("domain", "website-domain"):
            for name in self[option]:
                if not _HOST_NAME(name):
                    raise usage.UsageError(f"--{option}: {name!r} is no host name")
        for name in self["website-domain"]:
            if name in self["domain"]:
                raise usage.UsageError(f"--website-domain: {name} is a --domain too")
        if self["region"] is not None and not re.fullmatch("[a-z0-9-]{1,63}", self["region"]):
            raise usage.UsageError("--region: lower-case letters, digits and - make a region, e.g. eu-central-1")
        if self["s3-url"] is not None and not is_origin(self["s3-url"]):
            raise usage.UsageError("--s3-url: http:// or https://, a host and perhaps a port are needed, and no path")
        if self["dir-mode"] & 0o700 != 0o700 or self["file-mode"] & 0o600 != 0o600:
            raise usage.UsageError("--file-mode must let the owner read and write, --dir-mode enter as well")

    def _check_data(self) -> None:
        if not self["data"]:
            raise usage.UsageError("--data DIR is needed: the directory that holds the buckets")
        # Absolute, because twistd changes directory later.
        path = self["data"] = os.path.abspath(self["data"])
        if not os.path.isdir(path):
            raise usage.UsageError(f"--data: {path} is {'not a directory' if os.path.lexists(path) else 'not there'}")
        if not os.access(path, os.R_OK | os.X_OK):
            raise usage.UsageError(f"--data: {path} may not be read by this user")
        self["read-only"] = not os.access(path, os.W_OK)

    def _check_access_log(self) -> None:
        # twistd in the background has no standard output; `twist` knows no background.
        background = self.parent is not None and not self.parent.get("nodaemon", True)
        path = self["access-log"]
        if path is None:
            path = "off" if background else "-"
        elif path == "-" and background:
            raise usage.UsageError("--access-log: a daemon in the background has no standard output; name a file")
        elif path not in ("-", "off"):
            path = os.path.abspath(path)
            if os.path.isdir(path) or not os.path.isdir(os.path.dirname(path)):
                raise usage.UsageError(f"--access-log: {path} cannot be a file")
        self["access-log"] = path

    def _check_event_targets(self) -> None:
        path = self["event-targets"]
        if path is not None:
            self["event-targets"] = path = os.path.abspath(path)
            try:
                for target in targets.load(path).values():
                    Webhook(None, target)
            except ValueError as error:
                raise usage.UsageError(f"--event-targets {error}") from None

    def _users(self) -> IUserDirectory:
        """--auth, else the environment, else the file that is made at the first start."""
        checkers = self.get("credCheckers", [])
        if len(checkers) > 1:
            raise usage.UsageError("--auth may be given once")
        if checkers:
            if not IUserDirectory.providedBy(checkers[0]):
                raise usage.UsageError("--auth: this type knows no users of zs3, see --help-auth")
            return IUserDirectory(checkers[0])
        access_key, secret_key = os.environ.get("ZS3_ACCESS_KEY"), os.environ.get("ZS3_SECRET_KEY")
        if access_key is not None or secret_key is not None:
            try:
                entry = {"access_key": access_key, "secret_key": secret_key, "role": "admin"}
                (user,) = make_users("admin", entry)
            except ValueError as error:
                raise usage.UsageError(f"ZS3_ACCESS_KEY and ZS3_SECRET_KEY in the environment: {error}") from None
            return UsersChecker({user.access_key: user})
        path = credentials_path(self["data"])
        if self["read-only"] and not os.path.exists(path):
            raise usage.UsageError(
                f"--data: {self['data']} may not be written by this user, so no credentials can be made in it: "
                "give --auth zs3:FILE, or ZS3_ACCESS_KEY and ZS3_SECRET_KEY in the environment, to serve it read-only"
            )
        return UsersFileChecker(path, private=True)

    def _endpoints(self) -> dict[str, list[tuple[str, Any]]]:
        from twisted.internet import reactor

        certificates = [os.path.abspath("server.pem"), os.path.join(self["data"], ".zs3", "tls", "server.pem")]
        inherited = iter(self._inherited)
        endpoints: dict[str, list[tuple[str, Any]]] = {}
        for option, default in LISTENERS.items():
            endpoints[option] = []
            for description in self[option] or default:
                try:
                    if self._inherited:
                        endpoint = inherit_endpoint(reactor, description, certificates, next(inherited))
                    else:
                        endpoint = make_endpoint(reactor, description, certificates)
                except ValueError as error:
                    raise usage.UsageError(f"--{option} {error}") from None
                endpoints[option].append((description, endpoint))
        return endpoints


def makeService(options: Options) -> IService:
    """The daemon that checked `options` describe."""
    from twisted.internet import reactor

    notifier = Notifier(os.environ)
    if options["workers"] > 1:
        return supervisor(options, reactor, notifier)
    return server(
        options,
        reactor,
        first_start(options),
        lambda parts: (
            NotifyService(reactor, notifier, parts.beat),
            SignalService(reactor, parts.reload, parts.hurry),
        ),
    )


def run_worker(channel: MessageChannel, settings: Mapping[str, Any]) -> None:
    """Serve as a worker of the daemon that made `settings`, until it says stop.

    :param settings: of `zs3.assembly.supervisor`.
    :raises UsageError: if the options are wrong by now.
    """
    from twisted.internet import reactor

    options = Options(range(FIRST_SOCKET_FD, FIRST_SOCKET_FD + settings["sockets"]))
    here = os.getcwd()
    with suppress(OSError):  # perhaps all paths are absolute
        os.chdir(settings["directory"])
    options.parseOptions(settings["arguments"])
    os.chdir(here)
    options["access-log"] = settings["access-log"]  # the parent knows whether it is in the background
    daemon = server(
        options,
        reactor,
        options["users"].reload,
        lambda parts: (
            # A signal may have gone to all processes at once, and must not count as a second one.
            SignalService(reactor, parts.reload, lambda: None),
            ObedientService(
                reactor,
                channel,
                reload=parts.reload,
                hurry=parts.hurry,
                asked=parts.beat,
                failed=parts.fail,
                die=die,
            ),
        ),
        worker=settings,
        lost=lambda: channel.send("failed"),
    )
    daemon.startService()
    runner: Any = reactor
    runner.addSystemEventTrigger("before", "shutdown", daemon.stopService)
    runner.run()
