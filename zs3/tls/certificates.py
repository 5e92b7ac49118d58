"""The certificates of an endpoint as they are on disk now.

Whether they have changed is looked at when a client comes, once a second at most: an
idle daemon does nothing.  What is broken leaves what was there before in use, and is
told once.  Connections that are open already are not touched.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.logger import Logger
from zope.interface import implementer

from zs3.addresses import address_of
from zs3.tls import files, pem
from zs3.tls.contexts import make_context
from zs3.tls.files import File, State
from zs3.tls.pem import Address, Pair

#: Sooner than this it has to be renewed.
SOON = timedelta(days=14)

_LOOK_S = 1.0
_WARN_AGAIN_S = 86_400.0
#: The keys of session tickets are those of a context: they do not live as long as the certificate.
_CONTEXT_LIFE_S = 43_200.0

_DEFAULT = "default.pem"


def validity(pair: Pair, now: datetime) -> str | None:
    """What is wrong with the dates of a certificate, or will soon be; None if nothing is."""
    day, left, begins = f"{pair.expires:%Y-%m-%d}", pair.expires - now, pair.certificate.not_valid_before_utc
    if left < timedelta(0):
        return f"has expired on {day}"
    if begins > now:
        return f"is not valid before {begins:%Y-%m-%d %H:%M} UTC"
    if left < SOON:
        return f"expires on {day}, in {left.days} days" if left.days > 1 else f"expires on {day}"
    return None


class Served:
    """A certificate that can be shown.

    :ivar path: the file that it is in.
    :raises SSL.Error: if OpenSSL does not take it.
    """

    def __init__(
        self, pair: Pair, path: str, now: float, choose: Callable[[SSL.Connection], None] | None = None
    ) -> None:
        self.pair, self.path, self._choose = pair, path, choose
        self._made = now
        self._context = make_context(pair, choose)

    def context(self, now: float) -> SSL.Context:
        """What connections are made with; another one from time to time.

        :param now: seconds on the clock that said when this was made.
        """
        if now - self._made > _CONTEXT_LIFE_S:
            self._made = now
            self._context = make_context(self.pair, self._choose)
        return self._context


@dataclass(frozen=True)
class Complaint:
    """Something on disk that cannot be used, to be told once.

    :ivar state: of what is complained of; another one makes another complaint.
    :ivar kept: whether what was there before stays in use.
    """

    text: str
    state: object
    kept: bool


@implementer(IOpenSSLServerConnectionCreator)
class Certificates(ABC):
    """Those of one endpoint; what makes its TLS connections.

    Only `reload` reads them the first time.

    :param now: seconds on a clock that never goes back.
    """

    _log = Logger()

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._looked = now()
        self._warned = now()
        self._complaints: Sequence[Complaint] = ()
        self.served: Sequence[Served] = ()

    # What there is on disk

    @abstractmethod
    def _has_changed(self) -> bool:
        """Whether what was read is no longer what there is, as far as a stat tells."""

    @abstractmethod
    def _read(self) -> tuple[Sequence[Served], Sequence[Complaint]]:
        """Read again: what is to be served now, perhaps still that of before, and what is wrong."""

    def reload(self) -> None:
        """Read them again, changed or not.

        :raises ValueError: if there are none, or some could not be and those of before stay in use.
        """
        self._looked = self._now()
        starting = not self.served
        self._take(*self._read())
        failed = [each.text for each in self._complaints if each.kept or not self.served]
        if not starting:
            self.announce(unless=failed)
        if failed:
            raise ValueError("; ".join(failed))

    def _look(self) -> None:
        now = self._now()
        if now - self._looked < _LOOK_S:
            return
        self._looked = now
        if self._has_changed():
            told = set(self._complaints)
            self._take(*self._read())
            for each in self._complaints:
                if each not in told:
                    self._log.warn("{complaint}", complaint=each.text)
        if now - self._warned >= _WARN_AGAIN_S:
            self.warn_of_expiry()

    def _take(self, served: Sequence[Served], complaints: Sequence[Complaint]) -> None:
        old, self.served, self._complaints = self.served, served, complaints
        if not old:  # the start
            return
        known = {each.pair for each in old}
        for each in served:
            if each.pair not in known:
                known.add(each.pair)
                self._log.info(
                    "new certificate for {names}, valid until {day}: {path}",
                    names=each.pair.description,
                    day=f"{each.pair.expires:%Y-%m-%d}",
                    path=each.path,
                )
        paths = {each.path for each in served}
        for each in old:
            if each.path not in paths:
                self._log.info(
                    "no more certificate for {names}: {path} is gone", names=each.pair.description, path=each.path
                )

    # What is told

    def announce(self, unless: Sequence[str] = ()) -> None:
        """Tell what is wrong with what is there, except what is told already."""
        for each in self._complaints:
            if each.text not in unless:
                self._log.warn("{complaint}", complaint=each.text)
        self.warn_of_expiry()

    def warn_of_expiry(self) -> None:
        """Tell which certificates have expired, or will soon."""
        self._warned = self._now()
        now = datetime.now(UTC)
        told = set()
        for each in self.served:
            wrong = validity(each.pair, now)
            if wrong is not None and each.pair not in told:
                told.add(each.pair)
                self._log.warn(
                    "the certificate for {names} {wrong}: {path}",
                    names=each.pair.description,
                    wrong=wrong,
                    path=each.path,
                )

    # What is served

    def serverConnectionForTLS(self, protocol: object) -> SSL.Connection:  # noqa: ARG002 - the interface's
        """For Twisted: a new connection."""
        self._look()
        return SSL.Connection(self.served[0].context(self._now()))


class CertificateFiles(Certificates):
    """One certificate, of files that are named.

    :param key: the PEM file of its private key.
    :param certificate: that of the certificate, and perhaps of the intermediate ones; may be the same file.
    :param chain: that of intermediate certificates.
    """

    def __init__(
        self, key: str, certificate: str, chain: str | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(now)
        self._key, self._certificate, self._chain = key, certificate, chain
        self.paths = tuple(dict.fromkeys((key, certificate, *((chain,) if chain is not None else ()))))
        self._seen: Mapping[str, File] = {}

    def _states(self) -> tuple[State, ...]:
        return tuple(files.state_of(path) for path in self.paths)

    def _has_changed(self) -> bool:
        # What could not be used is tried again even if it looks the same: perhaps there were too many open files.
        return any(
            path not in self._seen or not self._seen[path].settled or self._seen[path].state != files.state_of(path)
            for path in self.paths
        )

    def _read(self) -> tuple[Sequence[Served], Sequence[Complaint]]:
        # Each file, then whether they belong together: key and certificate are renewed one after the other.
        self._seen = {}
        states = self._states()
        found: dict[str, File] = {}
        where = self.paths[0]
        try:
            for where in self.paths:
                found[where] = files.read(where)
            where = " and ".join(dict.fromkeys((self._certificate, self._key)))
            pair = self._pair(found)
            served = self.served
            if not served or served[0].pair != pair:
                served = (Served(pair, self._certificate, self._now()),)
        except (OSError, ValueError, SSL.Error) as error:
            text, kept = f"{where}: {explain(error)}", bool(self.served)
            if kept:
                text += "; the certificate of before stays in use"
            return self.served, (Complaint(text, states, kept),)
        self._seen = found
        return served, ()

    def _pair(self, found: Mapping[str, File]) -> Pair:
        more: tuple[Any, ...] = ()
        if self._chain is not None:
            more = found[self._chain].contents.certificates
            if not more:
                raise ValueError(f"there is no certificate in {self._chain}")
        return pem.pair(found[self._key].contents.keys, found[self._certificate].contents.certificates, more)


@dataclass
class _Known:
    """What is known of a file of a directory.

    :ivar file: as it was last read without a mistake; None if it never was.
    :ivar wrong: what is wrong with it now.
    :ivar state: that it has now.
    """

    file: File | None
    wrong: str | None
    state: State


@dataclass(frozen=True)
class _Table:
    """Who is shown what."""

    names: Mapping[str, Served] = field(default_factory=dict)
    addresses: Mapping[Address, Served] = field(default_factory=dict)


class CertificateDirectory(Certificates):
    """All certificates in the ``.pem`` files of a directory, shown by the name that a client asks for.

    A key may be in another file than its certificate, and intermediate certificates in others again.  Clients that
    name nobody are shown the certificate for the address that they came to, or the default one: that in
    ``default.pem``, or else that of the first file.  So are those that name somebody whom nobody knows.
    """

    def __init__(self, path: str, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(now)
        self.path = path
        self._known: dict[str, _Known] = {}
        self._found: Mapping[str, State] | None = None
        self._table = _Table()
        self._turn: datetime | None = None

    def _has_changed(self) -> bool:
        if self._turn is not None and datetime.now(UTC) >= self._turn:
            return True
        try:
            found = files.find(self.path)
        except OSError:
            return True
        return found != self._found or any(
            each.wrong is not None or (each.file is not None and not each.file.settled) for each in self._known.values()
        )

    def _read(self) -> tuple[Sequence[Served], Sequence[Complaint]]:
        try:
            self._found = files.find(self.path)
        except OSError as error:
            return self.served, (self._useless(explain(error), error.errno, error.filename),)
        for path, state in self._found.items():
            self._known[path] = _read_again(path, state, self._known.get(path))
        self._known = {path: self._known[path] for path in self._found}
        served, complaints = self._match()
        if not served:
            wrong = "there is no usable certificate in it" if self._found else "there is no .pem file in it"
            return self.served, [*complaints, self._useless(wrong, tuple(self._found.items()))]
        served.sort(key=lambda each: (not _is_default(each.path), each.path))
        self._table, self._turn = _tabulate(served), _next_turn(served)
        return served, complaints

    def _useless(self, wrong: str, state: object, path: str | None = None) -> Complaint:
        outcome = "; the certificates of before stay in use" if self.served else ""
        return Complaint(f"{path or self.path}: {wrong}{outcome}", state, bool(self.served))

    def _match(self) -> tuple[list[Served], list[Complaint]]:
        """Bring keys and certificates together, whichever files they are in."""
        contents = {path: each.file.contents for path, each in self._known.items() if each.file is not None}
        keys = {pem.spki_of_key(key): key for each in contents.values() for key in each.keys}
        spkis = {each: pem.spki_of(each) for one in contents.values() for each in one.certificates}
        # Those without a key here are the ones that a chain can be made of.
        pool = [each for each, spki in spkis.items() if spki not in keys]
        certified = set(spkis.values())
        of_before: dict[str, list[Served]] = {}
        for each in self.served:
            of_before.setdefault(each.path, []).append(each)
        served: list[Served] = []
        complaints: list[Complaint] = []
        for path, known in self._known.items():
            wrong = known.wrong
            before = of_before.get(path, [])
            found = contents.get(path, pem.Contents())
            own = [one for one in found.certificates if spkis[one] in keys]
            pairs = [_pair(one, keys, found.certificates, pool) for one in own]
            try:
                made = [self._served(pair, path, before) for pair in pairs]
            except SSL.Error as error:
                made, wrong = [], explain(error)
            if not made:
                wrong = wrong or _unused(found, certified, serving=bool(before))
            if wrong is not None:
                kept = bool(made or before) or (known.wrong is not None and known.file is not None)
                outcome = "what was there before stays in use" if kept else "it is not used"
                complaints.append(Complaint(f"{path}: {wrong}; {outcome}", known.state, kept))
            served += made or before
        return served, complaints

    def _served(self, pair: Pair, path: str, before: Sequence[Served]) -> Served:
        known = next((each for each in before if each.pair == pair), None)
        return known or Served(pair, path, self._now(), self._choose)

    def _choose(self, connection: SSL.Connection) -> None:
        """For OpenSSL: the client has said whom it wants, or nobody."""
        chosen = self._find(connection)
        if chosen is not None:
            context = chosen.context(self._now())
            if context is not connection.get_context():
                connection.set_context(context)

    def _find(self, connection: SSL.Connection) -> Served | None:
        name = connection.get_servername()
        if name:
            return self.find_by_name(name.decode("ascii", "replace"))
        protocol: Any = connection.get_app_data()
        host = getattr(protocol.transport.getHost(), "host", None)
        return None if host is None else self.find_by_address(host)

    def find_by_name(self, name: str) -> Served | None:
        """The certificate for a host name; None if there is none."""
        name = name.lower().rstrip(".")
        found = self._table.names.get(name) or self._table.names.get("*." + name.partition(".")[2])
        # RFC 6066 section 3 says that an address is no name; there are clients that send it all the same.
        return found or self.find_by_address(name)

    def find_by_address(self, host: str) -> Served | None:
        """The certificate for an IP address; None if there is none."""
        address = address_of(host)
        return None if address is None else self._table.addresses.get(address)


def _read_again(path: str, state: State, known: _Known | None) -> _Known:
    """What is known of a file now; one that has not changed is not read."""
    if known is not None and known.file is not None and known.wrong is None:
        unchanged = known.file.settled and known.file.state == state
        if unchanged:
            return known
    try:
        return _Known(files.read(path), None, state)
    except (OSError, ValueError) as error:
        return _Known(known.file if known is not None else None, explain(error), state)


def _pair(certificate: Any, keys: Mapping[bytes, pem.Key], beside: Sequence[Any], pool: Sequence[Any]) -> Pair:
    """A certificate with its key, and the chain that follows it in its file or is found elsewhere."""
    following = beside[beside.index(certificate) + 1 :]
    chain = tuple(each for each in following if pem.spki_of(each) not in keys)
    key = keys[pem.spki_of(certificate)]
    return Pair(key, certificate, chain or pem.chain_of(certificate, pool))


def _unused(found: pem.Contents, certified: set[bytes], *, serving: bool) -> str | None:
    """Why a file is of no use by itself, unless it is meant for others."""
    if any(pem.spki_of_key(key) not in certified for key in found.keys):
        return "there is no certificate for its private key"
    if serving and not found.certificates:
        return "there is no certificate in it"
    if serving or any(not pem.is_authority(each) for each in found.certificates):
        return "there is no private key for its certificate"
    return None


def _is_default(path: str) -> bool:
    return path.rpartition("/")[2] == _DEFAULT


def _tabulate(served: Iterable[Served]) -> _Table:
    """Who is shown what: of several certificates for the same, the newest of those that are valid."""
    now = datetime.now(UTC)

    def order(each: Served) -> tuple[bool, float]:
        valid = each.pair.certificate.not_valid_before_utc <= now < each.pair.expires
        return not valid, -each.pair.certificate.not_valid_before_utc.timestamp()

    names: dict[str, Served] = {}
    addresses: dict[Address, Served] = {}
    for each in sorted(served, key=order):
        for name in each.pair.names:
            names.setdefault(name, each)
        for address in each.pair.addresses:
            addresses.setdefault(address, each)
    return _Table(names, addresses)


def _next_turn(served: Iterable[Served]) -> datetime | None:
    """When another certificate may be the one to show: one begins to be valid, or ends."""
    now = datetime.now(UTC)
    times = (turn for each in served for turn in (each.pair.certificate.not_valid_before_utc, each.pair.expires))
    return min((each for each in times if each > now), default=None)


def explain(error: Exception) -> str:
    """An error in a user's words."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, SSL.Error):
        reasons = [each[2] for each in error.args[0]] if error.args and isinstance(error.args[0], list) else []
        return f"OpenSSL does not take it ({'; '.join(reasons) or 'it does not say why'})"
    return str(error)
