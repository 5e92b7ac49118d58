"""Buckets as websites: the resource that serves their pages, and the operations that configure them.

A sibling of the S3 tree, for browsers: it reads, it believes no signature, and
it tells its errors in HTML.  What may be read is what anybody may read by
GetObject, and whether there is a page at all is told as it is there.

Source: Amazon S3 User Guide, "Website endpoints", "Configuring an index document",
"Configuring a custom error document", "Configuring a webpage redirect".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from typing import TYPE_CHECKING

from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from zs3.auth.access import Principal
from zs3.errors import S3Error
from zs3.store.interface import IObjectReader
from zs3.web import crossorigin, headers, names, website
from zs3.web.authorize import Denied, own_gate
from zs3.web.call import Call
from zs3.web.coroutines import begin
from zs3.web.headers import WEBSITE_REDIRECT, check_bucket_owner
from zs3.web.objects import Answer
from zs3.web.producers import answer_object
from zs3.web.query import Query
from zs3.web.request import Request
from zs3.web.responses import begin_error, send_empty, send_html, send_xml
from zs3.web.website import DOCUMENT_SIZE, Redirect, Website

if TYPE_CHECKING:
    from zs3.web.resources import Realm, Session

_GET_OBJECT = "s3:GetObject"
#: The query of a page is for its scripts.
_NO_QUERY = Query()


class Site(Resource):
    """All of a website.

    :param principal: nobody.
    :param session: its `host_bucket` is the bucket; "" for none.
    """

    isLeaf = True

    def __init__(self, realm: Realm, principal: Principal, session: Session) -> None:
        super().__init__()
        self._realm, self._principal, self._session = realm, principal, session

    def render(self, request: IRequest) -> int:
        """Serve it, later."""
        assert isinstance(request, Request)  # noqa: S101 - for mypy: the site makes no others
        # As S3: files without a type that fits would make no page else, and there is nothing here but pages.
        request.nosniff = False
        request.log.operation, request.log.bucket = "Website", self._session.host_bucket or ""
        begin(self._serve(request))
        return NOT_DONE_YET

    async def _serve(self, request: Request) -> None:
        try:
            await self._run(request)
        except Exception as error:
            _send_page(request, error)

    async def _run(self, request: Request) -> None:
        if request.method not in (b"GET", b"HEAD"):
            raise S3Error("MethodNotAllowed", headers={"Allow": "GET, HEAD"}, Method=request.wire.method)
        bucket = self._session.host_bucket
        if not bucket:
            raise S3Error("NoSuchBucket", BucketName="")
        configuration = await self._realm.store.get_configuration(bucket)
        if crossorigin.is_cross_origin(request):
            crossorigin.allow(request, configuration)
        names.check_escapes(request.raw_path)
        key = request.log.key = names.decode_path(b"/".join(request.postpath or ()))
        configured = website.website_of(configuration)
        if configured is None:
            raise S3Error("NoSuchWebsiteConfiguration", BucketName=bucket)
        await _Visit(self._call(request, bucket), configured, key).answer()

    def _call(self, request: Request, bucket: str) -> Call:
        credentials, settings = self._session.credentials, self._session.settings
        gate = own_gate(self._principal, bucket, settings.ownership)
        return Call(
            request,
            self._realm.store,
            gate,
            self._realm.users,
            credentials.claim,
            None,
            settings,
            request.wire,
            bucket,
            values=request.values,
        )


@dataclass(frozen=True, slots=True)
class _Visit:
    """A request for a page.

    :ivar key: as the path names it.
    """

    call: Call
    website: Website
    key: str

    async def answer(self) -> None:
        """:raises S3Error: if nothing of the website says how to answer."""
        if self.website.everything is not None:
            self._redirect(self.website.everything, None, self.call.request.query_text)
            return
        rule = self.website.rule_for(self.key)
        if rule is not None:
            self._redirect(rule.redirect, rule.key_prefix)
            return
        try:
            await self._answer_page()
        except S3Error as error:
            if self.call.request.startedWriting:
                raise
            await self._answer_error(error)

    async def _answer_page(self) -> None:
        is_directory = not self.key or self.key.endswith("/")
        try:
            reader = await self._open(self.key + self.website.index if is_directory else self.key)
        except S3Error as error:
            if is_directory or not await self._is_directory(error):
                raise
            send_empty(self.call.request, 302, {"location": website.directory_url(self.key)})
            return
        try:
            target = reader.info().attributes.headers.get(WEBSITE_REDIRECT)
            if target:
                reader.close()
                sent = target.encode("latin-1", "replace")  # as it came
                send_empty(self.call.request, 301, {"location": website.header_url(sent)})
                return
            answer = Answer(self.call.header, _NO_QUERY, reader.info())
        except Exception:
            reader.close()
            raise
        if answer.status == 304:
            reader.close()
            send_empty(self.call.request, 304, answer.headers)
            return
        span = answer.span
        await answer_object(self.call.request, answer.status, answer.headers, reader, span.first, span.size)

    async def _open(self, key: str) -> IObjectReader:
        """An object that anybody may read."""
        call = self.call
        call.gate = await call.gate_to(call.bucket, key, _GET_OBJECT)
        store = call.gate.store_for(_GET_OBJECT, self.call.store)
        names.check_key(key)
        reader: IObjectReader = await store.open_object(call.bucket, key)
        return reader

    async def _is_directory(self, error: S3Error) -> bool:
        """Whether there is a page in the directory of that name, after it could not be read itself.

        Who may not know what is there is answered the same whether it is there or not.
        """
        if error.code != "NoSuchKey" and (not isinstance(error, Denied) or self.call.gate.may_know()):
            return False
        try:
            reader = await self._open(f"{self.key}/{self.website.index}")
        except S3Error:
            return False
        reader.close()
        return True

    async def _answer_error(self, error: S3Error) -> None:
        """Answer as the website says for this error.

        :raises S3Error: if it says nothing, or what it says cannot be shown.
        """
        rule = self.website.rule_for(self.key, error.status)
        if rule is not None:
            self._redirect(rule.redirect, rule.key_prefix)
            return
        if not self.website.error or error.status >= 500:
            raise error
        try:
            reader = await self._open(self.website.error)
        except S3Error as second:
            raise _Twofold(error, second, self.website.error) from None
        info = reader.info()
        lines = headers.representation(info)
        lines.pop(WEBSITE_REDIRECT, None)
        lines["content-length"] = b"%d" % info.size
        lines["x-amz-error-code"] = error.code.encode("ascii")
        _note(self.call.request, error)
        await answer_object(self.call.request, error.status, lines, reader, 0, info.size)

    def _redirect(self, redirect: Redirect, prefix: str | None, query: str = "") -> None:
        request = self.call.request
        scheme = "https" if request.isSecure() else "http"
        url = website.location(redirect, prefix, self.key, scheme=scheme, host=request.header("host") or "")
        if query:
            url += "?" + website.header_url(query)
        send_empty(request, redirect.status, {"location": url})


class _Twofold(S3Error):
    """An error whose own page could not be shown either."""

    def __init__(self, error: S3Error, second: S3Error, key: str) -> None:
        super().__init__(error.code, error.message, headers=error.headers, **error.fields)
        self.first, self.second, self.key = error, second, key


def _note(request: Request, error: S3Error) -> None:
    """Tell the log."""
    request.log.error = request.log.error or error.code
    if isinstance(error, Denied):
        request.log.reason = error.reason


def _send_page(request: Request, failure: Exception) -> None:
    """Answer with an error in HTML and finish the request; as `zs3.web.responses.send_error`."""
    error = begin_error(request, failure)
    if error is None:
        return
    first = error.first if isinstance(error, _Twofold) else error
    _note(request, first)
    title = f"{error.status} {HTTPStatus(error.status).phrase}"
    told = {"Code": error.code, "Message": error.message, **error.fields}
    told |= {"RequestId": request.request_id, "HostId": request.site.host_id}
    body = _list(told)
    if isinstance(error, _Twofold):
        body += "<h2>The error document could not be shown either</h2>\n"
        body += _list({"Code": error.second.code, "Message": error.second.message, "Key": error.key})
    head = f"<!DOCTYPE html>\n<html>\n<head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n"
    page = f"{head}{body}</body>\n</html>\n"
    send_html(request, page.encode("utf-8"), error.status, {**error.headers, "x-amz-error-code": error.code})


def _list(told: Mapping[str, str]) -> str:
    items = "".join(f"<li>{name}: {escape(text)}</li>\n" for name, text in told.items())
    return f"<ul>\n{items}</ul>\n"


# Operations ----------------------------------------------------------------------------------------------------------


async def put_bucket_website(call: Call) -> None:
    """PutBucketWebsite: replaces all that was configured."""
    check_bucket_owner(call.header, call.owner.id)
    configured = website.parse(await call.read_document(DOCUMENT_SIZE))
    await call.store.change_configuration(call.bucket, lambda every: website.set_website(every, configured))
    send_empty(call.request, 200)


async def get_bucket_website(call: Call) -> None:
    """GetBucketWebsite."""
    check_bucket_owner(call.header, call.owner.id)
    configured = website.website_of(await call.store.get_configuration(call.bucket))
    if configured is None:
        raise S3Error("NoSuchWebsiteConfiguration", BucketName=call.bucket)
    send_xml(call.request, website.document(configured))


async def delete_bucket_website(call: Call) -> None:
    """DeleteBucketWebsite: no error where there is none."""
    check_bucket_owner(call.header, call.owner.id)
    await call.store.change_configuration(call.bucket, lambda every: website.set_website(every, None))
    send_empty(call.request, 204)
