"""PostObject: what a browser's form uploads.

The fields say what PutObject is told in headers, and are judged as those are.

Sources: Amazon S3 API Reference, "POST Object", "Creating an HTML form", "POST policy".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote, urlencode, urlsplit

from zs3.auth.access import PUT_OBJECT
from zs3.auth.payload import make_payload
from zs3.auth.postpolicy import Policy, parse_policy
from zs3.auth.wire import UNSIGNED_PAYLOAD, Wire
from zs3.checksums import DEFAULT
from zs3.errors import S3Error
from zs3.events.rules import CREATED_POST
from zs3.store.values import ObjectInfo, WriteCondition
from zs3.web import documents, headers
from zs3.web.announcing import announce
from zs3.web.call import Call, header_pair
from zs3.web.created import attributes_of_new_object
from zs3.web.documents import quoted
from zs3.web.forms import Form, is_form
from zs3.web.locking import check_digest
from zs3.web.objects import receive, uploaded_headers
from zs3.web.responses import send_empty, send_xml
from zs3.web.tags import parse_tagging

#: The fields that are headers of PutObject; those that begin with ``x-amz-`` are too.
_HEADERS = {
    **{name: name for name in headers.SYSTEM_HEADERS},
    "acl": "x-amz-acl",
    "content-md5": "content-md5",
    "x-amz-checksum-algorithm": "x-amz-sdk-checksum-algorithm",
}

#: What no header says to a form: there are no conditional ones, and the rest is said in fields, which a policy covers.
_CONDITIONS = frozenset((b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since"))
_OF_ANY_REQUEST = frozenset(
    b"x-amz-" + name
    for name in (
        b"content-sha256",
        b"date",
        b"expected-bucket-owner",
        b"request-payer",
        b"security-token",
        b"user-agent",
    )
)

#: What a bucket policy may ask of the browser.
_OF_THE_BROWSER = (b"referer", b"user-agent")

#: RFC 3986: an absolute URL of the web, in its own characters alone.
_URL = re.compile(r"https?://[!#$%&'()*+,./0-9:;=?@A-Z\[\]_a-z~-]+", re.ASCII | re.IGNORECASE).fullmatch


async def post_object(call: Call) -> None:
    """PostObject."""
    form = call.request.form
    if form is None:
        raise _no_form(call)
    headers.check_bucket_owner(call.header, call.owner.id)
    for name, _ in call.wire.headers:
        if name in _CONDITIONS or (name.startswith(b"x-amz-") and name not in _OF_ANY_REQUEST):
            raise S3Error("NotImplemented", Header=name.decode("latin-1"))
    policy = _check_policy(call, form)
    fields = (*_as_headers(form.fields), *(pair for pair in call.wire.headers if pair[0] in _OF_THE_BROWSER))
    as_put = replace(call, wire=Wire("POST", call.wire.target, fields), values=None)
    # Once more, now that what the form says stands where the conditions of bucket policies look for it.
    as_put.gate = await as_put.gate_to(call.bucket, call.key, PUT_OBJECT)
    as_put.gate.check(PUT_OBJECT)
    headers.check_new_object(as_put.header)
    attributes = attributes_of_new_object(as_put)
    check_digest(as_put, attributes.lock, "Post Object")
    if "tagging" in form.fields:
        tags = parse_tagging(form.fields["tagging"].encode("utf-8"))
        as_put.gate.request_tags = tags
        as_put.gate.check_tags_of_new_object()
        attributes = replace(attributes, tags=tags)
    # No signature covers the file, and how long it is is not known before its end.
    payload = make_payload(
        as_put.wire, None, content_length=None, payload_hash=UNSIGNED_PAYLOAD, default_algorithm=DEFAULT
    )
    writer = call.store.put_object(
        call.bucket, call.key, payload, attributes=attributes, condition=WriteCondition(), length=None
    )
    size = 0

    async def read() -> bytes:
        nonlocal size
        data = await form.read()
        size += len(data)
        if policy is not None:
            policy.check_size(size, complete=not data)
        return data

    info: ObjectInfo = await receive(call, writer, None, read)
    await announce(call, CREATED_POST, info)
    _answer(call, form.fields, info)


def _no_form(call: Call) -> S3Error:
    if is_form(call.header("content-type")):
        # So AWS says of the query; a form that was signed as a request would be under two rules.
        return S3Error(
            "InvalidArgument",
            "A form is authenticated by its fields: Only one auth mechanism allowed",
            ArgumentName="Authorization",
        )
    return S3Error("PreconditionFailed", Condition="Bucket POST must be of the enclosure-type multipart/form-data")


def _check_policy(call: Call, form: Form) -> Policy | None:
    """The policy, which the form fulfils; None without one: then nobody has signed it."""
    text = form.fields.get("policy")
    if text is None:
        return None
    policy = parse_policy(text)
    policy.check({**form.fields, "bucket": call.bucket}, now=call.settings.clock.seconds())
    return policy


def _as_headers(fields: Mapping[str, str]) -> tuple[tuple[bytes, bytes], ...]:
    """The fields that PutObject has as headers, as if they had come so."""
    return tuple(
        header_pair(_HEADERS.get(name, name), value.strip(" \t"))
        for name, value in fields.items()
        if name in _HEADERS or name.startswith("x-amz-")
    )


def _answer(call: Call, fields: Mapping[str, str], info: ObjectInfo) -> None:
    etag = quoted(info.etag)
    path = call.request.raw_path.decode("ascii").rstrip("/")
    location = call.url(f"{path}/{quote(call.key)}")
    answer = {**uploaded_headers(call, info), "Location": location}
    redirect = _redirect(call, fields, etag)
    status = fields.get("success_action_status")
    if redirect is not None:
        send_empty(call.request, 303, {**answer, "Location": redirect})
    elif status == "201":
        send_xml(call.request, documents.post_response(location, call.bucket, call.key, etag), 201, answer)
    else:
        send_empty(call.request, 200 if status == "200" else 204, answer)


def _redirect(call: Call, fields: Mapping[str, str], etag: str) -> str | None:
    """Where the browser goes next; None where the form does not say, or says what is no URL."""
    url = fields.get("success_action_redirect", fields.get("redirect"))
    if url is None or not _URL(url):
        return None
    try:
        parts = urlsplit(url)
        if not parts.hostname:
            return None
    except ValueError:
        return None
    told = urlencode({"bucket": call.bucket, "key": call.key, "etag": etag}, quote_via=quote)
    return parts._replace(query=f"{parts.query}&{told}" if parts.query else told).geturl()
