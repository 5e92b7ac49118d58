"""The guard at the root of the tree: who signed the request, if anybody, and passes to the resources of that user.

In the spirit of `twisted.web.guard`, with S3's credentials and S3's errors.
What a user may do is decided behind it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, cast

from twisted.cred.checkers import AllowAnonymousAccess
from twisted.cred.credentials import IAnonymous
from twisted.cred.error import LoginFailed
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from twisted.web.util import DeferredResource
from zope.interface import implementer

from zs3.addresses import network_of
from zs3.auth.access import ENFORCED
from zs3.auth.attempts import Attempts
from zs3.auth.credentials import ISignedRequest, S3LoginFailed, SignedRequest, UnsignedRequest, UsersChecker
from zs3.auth.postform import decode_form
from zs3.auth.sigv4 import decode_claim
from zs3.auth.wire import Claim, Wire
from zs3.errors import S3Error
from zs3.events.announcer import Events
from zs3.lifecycle.evaluation import Day
from zs3.web import crossorigin
from zs3.web.call import NO_EVENTS, REAL_DAY, Settings
from zs3.web.channel import Channel
from zs3.web.control import is_control
from zs3.web.express import Express
from zs3.web.forms import Form, is_form
from zs3.web.http1 import Head, header_text
from zs3.web.operations import SUBRESOURCES
from zs3.web.request import Request
from zs3.web.resources import Realm, Session

_PORT = re.compile(r":[0-9]*$", re.ASCII)


def split_host(host: str, domains: Sequence[str]) -> tuple[str, str] | None:
    """The bucket that a `Host` header names below one of the domains, "" for none, and the domain; None for another.

    :param domains: in lower case.
    :raises S3Error: InvalidBucketName for an empty one.
    """
    if not domains:
        return None
    name = _PORT.sub("", host).lower().rstrip(".")
    # The longest first: a bucket may be called like the first label of another domain.
    for domain in sorted(domains, key=len, reverse=True):
        if name == domain:
            return "", domain
        if name.endswith("." + domain):
            bucket = name[: -len(domain) - 1]
            if not bucket:
                raise S3Error("InvalidBucketName", BucketName="")
            return bucket, domain
    return None


@implementer(IResource)
class S3Guard:
    """Lets signed requests pass to the avatar of who signed them, unsigned ones to that of nobody, and refuses others.

    Everything is decided from the head of the request, but for a browser's form: its fields are read first.

    :param portal: its realm is a `zs3.web.resources.Realm`.  Without a checker of `IAnonymous`, every request must
        be signed.
    :param region: the only region that requests may be signed for; None for any.
    :param sigv2: whether URLs signed with the old signature version 2 are accepted.
    :param domains: host names below which buckets are host names too.
    :param website_domains: host names below which buckets are websites.
    :param ownership: one of `zs3.auth.access.OWNERSHIPS`: that of the buckets that have no ownership controls.
    :param lifecycle_day: how long the days of lifecycle rules are.
    :param rules_seen: is called wherever a bucket is seen to have such rules.
    :param cross_origin: whether pages of other origins are served as the rules of buckets (CORS) say; else nobody is
        told of any.
    :param beside: what is not of S3, by its path as received, which is none of a bucket; for whoever asks.
    :param events: is told what happens to objects.
    """

    isLeaf = False

    def __init__(
        self,
        portal: Portal,
        *,
        region: str | None,
        sigv2: bool,
        domains: Sequence[str],
        website_domains: Sequence[str] = (),
        clock: IReactorTime,
        ownership: str = ENFORCED,
        lifecycle_day: Day = REAL_DAY,
        rules_seen: Callable[[], object] = lambda: None,
        cross_origin: bool = True,
        beside: Mapping[bytes, IResource] | None = None,
        events: Events = NO_EVENTS,
    ) -> None:
        self._portal = portal
        self._store = cast(Any, portal.realm).store
        self._sigv2 = sigv2
        self._cross_origin = cross_origin
        self._beside = beside or {}
        self._websites = frozenset(domain.lower().rstrip(".") for domain in website_domains)
        self._domains = [*(domain.lower().rstrip(".") for domain in domains), *self._websites]
        self._settings = Settings(region, clock, ownership, lifecycle_day, rules_seen, events)
        checker, realm = portal.checkers.get(ISignedRequest), portal.realm
        self._attempts = Attempts(clock.seconds)
        self._express: Express | None = None
        # One that lets in fewer, or gives another avatar, must be asked.
        if (
            getattr(type(checker), "requestAvatarId", None) is UsersChecker.requestAvatarId
            and type(realm) is Realm
            and isinstance(checker, UsersChecker)
        ):
            unsigned = type(portal.checkers.get(IAnonymous)) is AllowAnonymousAccess
            self._express = Express(realm.store, checker, self._settings, unsigned=unsigned)

    def serve_at_once(self, head: Head, channel: Channel) -> bool:
        """Answer what is answered at once; see `zs3.web.express`."""
        if self._express is None:
            return False
        if self._domains:
            try:
                if self._place_of_host(header_text(head.values.get(b"host", b""))) != (None, False):
                    return False
            except S3Error:
                return False
        return self._express.serve(head, channel)

    def putChild(self, path: bytes, child: IResource) -> NoReturn:
        """There is nothing beside the avatars."""
        raise NotImplementedError("S3Guard has no children of its own")

    def render(self, request: IRequest) -> NoReturn:
        """Not reached: every path has a segment, if only an empty one."""
        raise S3Error("MethodNotAllowed", Method=request.method.decode("ascii"))

    def getChildWithDefault(self, path: bytes, request: IRequest) -> IResource:
        """The root of the tree of whoever signed the request.

        :raises S3Error: what is wrong with the signature.
        """
        assert isinstance(request, Request)  # noqa: S101 - for mypy: the site makes no others
        # The avatar takes the path from its beginning.
        request.prepath, request.postpath = [], [path, *(request.postpath or ())]
        host_bucket, website = self._place_of_host(request.header("host") or "")
        # Where the host names the bucket, all of the path is a key.
        if request.raw_path in self._beside and host_bucket is None and not website:
            return self._beside[request.raw_path]
        # Before the signature: what is wrong with it is told in the words of the API, too.
        request.control = not website and is_control(request, host_bucket)
        if website:
            return self._website(request, host_bucket)
        # Before the signature: a preflight has none, and of any other a page shall read why it was refused.
        if self._cross_origin and crossorigin.is_cross_origin(request):
            found = crossorigin.serve(request, self._store, host_bucket, lambda: self._avatar(request, host_bucket))
            return _now_or_later(found)
        return self._avatar(request, host_bucket)

    def _place_of_host(self, host: str) -> tuple[str | None, bool]:
        """The bucket that a host names, or None; and whether it is asked for as a website."""
        bucket, domain = split_host(host, self._domains) or ("", "")
        return bucket or None, domain in self._websites

    def _website(self, request: Request, bucket: str | None) -> IResource:
        """The website of nobody, whoever claims to have signed the request."""
        credentials = UnsignedRequest(Wire(request.wire.method, request.wire.target, ()))
        session = Session(credentials, self._settings, bucket, website=True)
        return _now_or_later(self._enter(request, credentials, session))

    def _avatar(self, request: Request, host_bucket: str | None) -> IResource:
        claim = decode_claim(
            request.wire,
            now=self._settings.clock.seconds(),
            region=self._settings.region,
            sigv2=self._sigv2,
            bucket_from_host=host_bucket,
        )
        if claim is None and _is_form(request):
            return DeferredResource(Deferred.fromCoroutine(self._log_in_by_form(request, host_bucket)))
        return _now_or_later(self._log_in(request, claim, host_bucket))

    async def _log_in_by_form(self, request: Request, host_bucket: str | None) -> IResource:
        """Log in with what the fields say.  The file is left for the resource to read."""
        form = Form(request.header("content-type") or "", request.body)
        # Once for all the fields: nobody has proved anything yet, and a byte now and then would hold the connection.
        await Deferred.fromCoroutine(form.read_fields()).addTimeout(
            request.site.limits.body, self._settings.clock, _too_slow
        )
        request.form = form
        claim = decode_form(
            form.fields, now=self._settings.clock.seconds(), region=self._settings.region, sigv2=self._sigv2
        )
        return await self._log_in(request, claim, host_bucket)

    def _log_in(self, request: Request, claim: Claim | None, host_bucket: str | None) -> Deferred[IResource]:
        credentials = UnsignedRequest(request.wire) if claim is None else SignedRequest(claim)
        request.log.access_key = credentials.claim.access_key
        return self._enter(request, credentials, Session(credentials, self._settings, host_bucket))

    def _enter(
        self, request: Request, credentials: SignedRequest | UnsignedRequest, session: Session
    ) -> Deferred[IResource]:
        return self._portal.login(credentials, session, IResource).addCallbacks(
            self._logged_in, self._refused, callbackArgs=(request,), errbackArgs=(request,)
        )

    def _logged_in(self, result: tuple[object, IResource, Any], request: Request) -> IResource:
        _, avatar, logout = result
        request.notifyFinish().addBoth(lambda _: logout())
        return avatar

    def _refused(self, failure: Failure, request: Request) -> Failure | Deferred[IResource]:
        """Tell a failed login in S3's words; what is no failed login stays what it is."""
        if isinstance(failure.value, S3LoginFailed):
            return self._tell_wrong(failure.value.error, request)
        if isinstance(failure.value, LoginFailed):
            raise S3Error("AccessDenied")
        return failure

    def _tell_wrong(self, error: S3Error, request: Request) -> Deferred[IResource]:
        """Fails with `error`: at once, or later where there were many from the address of the client."""
        network = network_of(getattr(request.client, "host", None))
        delay = 0.0 if network is None else self._attempts.wrong(network)
        if network is None or not delay:
            raise error
        if not self._attempts.begin_waiting(network):
            request.channel.retire()
            raise S3Error("SlowDown")
        waiting: Deferred[None] = deferLater(self._settings.clock, delay)

        def told(_: object) -> NoReturn:
            self._attempts.end_waiting(network)
            raise error

        request.notifyFinish().addErrback(lambda _: waiting.cancel())
        return waiting.addBoth(told)


def _too_slow(*_: object) -> Failure:
    return Failure(S3Error("RequestTimeout"))


def _is_form(request: Request) -> bool:
    """Whether the credential may be in a form: not where another operation is asked for by a sub-resource."""
    return (
        request.method == b"POST"
        and is_form(request.header("content-type"))
        and SUBRESOURCES.isdisjoint(name for name, _ in request.query.pairs)
    )


def _now_or_later(found: Deferred[IResource]) -> IResource:
    """The resource at once where nobody has to be asked, as with our own checker; else one that waits for it."""
    if not found.called or found.paused:
        return DeferredResource(found)
    outcome: list[Any] = []
    found.addBoth(outcome.append)
    if isinstance(outcome[0], Failure):
        outcome[0].raiseException()
    return IResource(outcome[0])
