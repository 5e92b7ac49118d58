"""The website configuration of a bucket: its document both ways, and where its rules send who asks for a page.

Pure.  Nothing is looked up here, and nobody's right is decided.

Sources: Amazon S3 API Reference, PutBucketWebsite, RoutingRule, Condition, Redirect; User Guide, "Hosting a static
website", "Configuring a webpage redirect".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

from zs3.errors import S3Error
from zs3.web import xml
from zs3.web.names import MAX_KEY_SIZE
from zs3.web.xml import Node

MAX_RULES = 50
#: The most bytes of the document.
DOCUMENT_SIZE = 128 * 1024

#: All that can be in a header as it is: printable ASCII without the space.
_VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
#: What is in the path of a URL and means nothing but itself there.
_IN_PATH = "/-_.~!$&'()*+,;=:@"
#: A name or an address, perhaps with a port; S3's users put a path behind it too.
_HOST = re.compile(r"[0-9A-Za-z\[][!-~]{0,1023}", re.ASCII).fullmatch
_REDIRECT_CODE = re.compile(r"3(?!00)[0-9]{2}", re.ASCII).fullmatch
_ERROR_CODE = re.compile(r"[45][0-9]{2}", re.ASCII).fullmatch
_DEFAULT_CODE = 301


@dataclass(frozen=True, slots=True)
class Redirect:
    """Where a request is sent; "" and None for what stays as it is.

    :ivar protocol: ``http`` or ``https``.
    :ivar code: the status, as text.
    :ivar prefix: comes in place of the prefix that the condition names.
    :ivar key: comes in place of the whole key.
    """

    host: str = ""
    protocol: str = ""
    code: str = ""
    prefix: str | None = None
    key: str | None = None

    @property
    def status(self) -> int:
        """The status of the answer."""
        return int(self.code or _DEFAULT_CODE)


@dataclass(frozen=True, slots=True)
class Rule:
    """A RoutingRule.

    :ivar key_prefix: what the key begins with; None for any.
    :ivar error_code: the status that the request would be answered with, as text; "" for whatever it would be.
    """

    redirect: Redirect
    key_prefix: str | None = None
    error_code: str = ""


@dataclass(frozen=True, slots=True)
class Website:
    """What is configured.

    :ivar index: the name of the pages that are shown for what ends with a slash.
    :ivar error: the key of the page that is shown in place of an error; "" for none.
    :ivar everything: where all requests are sent; nothing else is configured then.
    """

    index: str = ""
    error: str = ""
    everything: Redirect | None = None
    rules: Sequence[Rule] = ()

    def rule_for(self, key: str, status: int | None = None) -> Rule | None:
        """The first rule that fits: of those for a status, or without one, of those for none."""
        code = "" if status is None else str(status)
        for rule in self.rules:
            if rule.error_code == code and key.startswith(rule.key_prefix or ""):
                return rule
        return None


# Where to ------------------------------------------------------------------------------------------------------------


def location(redirect: Redirect, prefix: str | None, key: str, *, scheme: str, host: str) -> str:
    """The URL that a request for `key` is sent to: always an absolute one, so that no key can name another host.

    :param prefix: that of the rule's condition.
    :param scheme: of the request.
    :param host: that it was sent to.
    """
    if redirect.key is not None:
        path = _as_configured(redirect.key)
    elif redirect.prefix is not None:
        path = _as_configured(redirect.prefix) + quote(key[len(prefix or "") :], _IN_PATH)
    else:
        path = quote(key, _IN_PATH)
    return f"{redirect.protocol or scheme}://{redirect.host or host}/{path}"


def _as_configured(text: str) -> str:
    """A replacement: it may bring a query or a fragment, and perhaps the slash that is there anyway."""
    return header_url(text).removeprefix("/")


def header_url(url: str | bytes) -> str:
    """A URL, or the end of one, as a header can hold it; what it cannot hold is percent-encoded."""
    return quote(url, _VISIBLE)


def directory_url(key: str) -> str:
    """The path of what `key` would be as a directory.  It is one of this host, however many slashes it begins with."""
    path = "/" + quote(key, _IN_PATH) + "/"
    return "/%2F" + path[2:] if path.startswith("//") else path


# The document --------------------------------------------------------------------------------------------------------


def parse(body: bytes) -> Website:
    """What a WebsiteConfiguration says.

    :raises S3Error: MalformedXML; InvalidRequest and InvalidArgument for what the schema allows and S3 does not.
    """
    root = xml.parse(body, "WebsiteConfiguration", max_elements=DOCUMENT_SIZE // len("<Suffix/>"))
    root.only("IndexDocument", "ErrorDocument", "RedirectAllRequestsTo", "RoutingRules")
    index, error, everything, routing = (
        _only_child(root, name) for name in ("IndexDocument", "ErrorDocument", "RedirectAllRequestsTo", "RoutingRules")
    )
    if everything is not None:
        if len(root.children) > 1:
            raise S3Error("InvalidRequest", "RedirectAllRequestsTo cannot be combined with any other element.")
        redirect = _parse_redirect(everything.only("HostName", "Protocol"))
        if not redirect.host:
            raise S3Error("MalformedXML")
        return Website(everything=redirect)
    if index is None:
        raise _ill_formed("A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty", "")
    suffix = _required(index, "Suffix")
    if not suffix or "/" in suffix or _is_too_long(suffix):
        raise _ill_formed("The IndexDocument Suffix is not well formed", suffix)
    error_key = "" if error is None else _required(error, "Key")
    if error is not None and (not error_key or _is_too_long(error_key)):
        raise S3Error(
            "InvalidArgument",
            "The ErrorDocument Key is not well formed",
            ArgumentName="ErrorDocument",
            ArgumentValue=error_key,
        )
    return Website(suffix, error_key, None, () if routing is None else _parse_rules(routing))


def _parse_rules(node: Node) -> list[Rule]:
    rules = node.only("RoutingRule").children
    if not rules:
        raise S3Error("MalformedXML")
    if len(rules) > MAX_RULES:
        raise S3Error(
            "InvalidRequest",
            f"{len(rules)} routing rules provided, the number of routing rules in a website configuration is limited"
            f" to {MAX_RULES}.",
        )
    return [_parse_rule(rule.only("Condition", "Redirect")) for rule in rules]


def _parse_rule(node: Node) -> Rule:
    where = _only_child(node, "Redirect")
    if where is None:
        raise S3Error("MalformedXML")
    redirect = _parse_redirect(
        where.only("HostName", "Protocol", "HttpRedirectCode", "ReplaceKeyPrefixWith", "ReplaceKeyWith")
    )
    if redirect == Redirect():
        raise S3Error("InvalidRequest", "Redirect cannot be empty.")
    if redirect.prefix is not None and redirect.key is not None:
        raise S3Error("InvalidRequest", "You can only define ReplaceKeyPrefixWith or ReplaceKeyWith but not both.")
    condition = _only_child(node, "Condition")
    if condition is None:
        return Rule(redirect)
    prefix = condition.only("KeyPrefixEquals", "HttpErrorCodeReturnedEquals").value("KeyPrefixEquals")
    code = condition.value("HttpErrorCodeReturnedEquals")
    if prefix is None and code is None:
        raise S3Error("InvalidRequest", "Condition cannot be empty. Without a Condition a rule is for all requests.")
    if code is not None and not _ERROR_CODE(code):
        raise S3Error("InvalidRequest", f"The provided HTTP error code ({code}) is not valid. It must be 4XX or 5XX.")
    return Rule(redirect, prefix, code or "")


def _parse_redirect(node: Node) -> Redirect:
    host, protocol, code = (node.value(name) for name in ("HostName", "Protocol", "HttpRedirectCode"))
    if host is not None and not _HOST(host):
        raise S3Error("InvalidRequest", "The provided HostName is not valid.")
    if protocol not in (None, "http", "https"):
        raise S3Error("InvalidRequest", "The protocol of a redirect is http or https.")
    if code is not None and not _REDIRECT_CODE(code):
        raise S3Error(
            "InvalidRequest", f"The provided HTTP redirect code ({code}) is not valid. It must be 3XX other than 300."
        )
    prefix, key = node.value("ReplaceKeyPrefixWith"), node.value("ReplaceKeyWith")
    return Redirect(host or "", protocol or "", code or "", prefix, key)


def _only_child(node: Node, name: str) -> Node | None:
    found = list(node.each(name))
    if len(found) > 1:
        raise S3Error("MalformedXML")
    return found[0] if found else None


def _required(node: Node, name: str) -> str:
    value = node.only(name).value(name)
    if value is None:
        raise S3Error("MalformedXML")
    return value


def _is_too_long(key: str) -> bool:
    return len(key.encode("utf-8")) > MAX_KEY_SIZE


def _ill_formed(message: str, suffix: str) -> S3Error:
    return S3Error("InvalidArgument", message, ArgumentName="IndexDocument", ArgumentValue=suffix)


def document(website: Website) -> bytes:
    """The WebsiteConfiguration that says this."""
    root = xml.root("WebsiteConfiguration")
    if website.everything is not None:
        _add_redirect(root.add("RedirectAllRequestsTo"), website.everything)
        return root.document()
    root.add("IndexDocument").add("Suffix", website.index)
    if website.error:
        root.add("ErrorDocument").add("Key", website.error)
    if website.rules:
        routing = root.add("RoutingRules")
        for rule in website.rules:
            element = routing.add("RoutingRule")
            if rule.key_prefix is not None or rule.error_code:
                condition = element.add("Condition")
                if rule.key_prefix is not None:
                    condition.add("KeyPrefixEquals", rule.key_prefix)
                condition.add_if("HttpErrorCodeReturnedEquals", rule.error_code)
            _add_redirect(element.add("Redirect"), rule.redirect)
    return root.document()


def _add_redirect(element: xml.Element, redirect: Redirect) -> None:
    element.add_if("HostName", redirect.host)
    element.add_if("HttpRedirectCode", redirect.code)
    element.add_if("Protocol", redirect.protocol)
    for name, text in (("ReplaceKeyPrefixWith", redirect.prefix), ("ReplaceKeyWith", redirect.key)):
        if text is not None:
            element.add(name, text)


# As kept in the bucket's configuration -------------------------------------------------------------------------------

_KEPT = "website"


def website_of(configuration: Mapping[str, Any]) -> Website | None:
    """The website that is configured of a bucket, or None."""
    kept = configuration.get(_KEPT)
    if kept is None:
        return None
    everything = kept["everything"]
    return Website(
        kept["index"],
        kept["error"],
        None if everything is None else Redirect(**everything),
        [Rule(Redirect(**rule["redirect"]), rule["key_prefix"], rule["error_code"]) for rule in kept["rules"]],
    )


def set_website(configuration: dict[str, Any], website: Website | None) -> None:
    """Replace it among what is configured of a bucket."""
    configuration.pop(_KEPT, None)
    if website is not None:
        configuration[_KEPT] = asdict(website)
