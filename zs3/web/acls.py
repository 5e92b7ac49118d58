"""ACLs as requests bring them, in a word, in headers or in a document, and as answers show them.

Pure.  What an ACL allows is `zs3.auth.access`'s affair.

Source: Amazon S3 User Guide, "Access control list (ACL) overview"; API
Reference, PutBucketAcl and PutObjectAcl.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from zs3.auth import accounts
from zs3.auth.acl import (
    ALL_USERS,
    AUTHENTICATED_USERS,
    FULL_CONTROL,
    GROUPS,
    LOG_DELIVERY,
    MAX_GRANTS,
    PERMISSIONS,
    READ,
    READ_ACP,
    WRITE,
    Acl,
    Grant,
)
from zs3.errors import S3Error
from zs3.web import xml
from zs3.web.documents import owner_of
from zs3.web.headers import Header
from zs3.web.xml import Node

CANNED = "x-amz-acl"
_HEADERS = {f"x-amz-grant-{name.lower().replace('_', '-')}": name for name in PERMISSIONS}

_URIS = {
    ALL_USERS: "http://acs.amazonaws.com/groups/global/AllUsers",
    AUTHENTICATED_USERS: "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
    LOG_DELIVERY: "http://acs.amazonaws.com/groups/s3/LogDelivery",
}
_GROUPS = {uri: group for group, uri in _URIS.items()}

#: What canned ACLs give beside full control for the owner.
_OF_BOTH = {
    "private": (),
    "public-read": (Grant(ALL_USERS, READ),),
    "public-read-write": (Grant(ALL_USERS, READ), Grant(ALL_USERS, WRITE)),
    "authenticated-read": (Grant(AUTHENTICATED_USERS, READ),),
}
_OF_BUCKETS = {
    **_OF_BOTH,
    # S3 passes over these two.
    "bucket-owner-read": (),
    "bucket-owner-full-control": (),
    "log-delivery-write": (Grant(LOG_DELIVERY, WRITE), Grant(LOG_DELIVERY, READ_ACP)),
}
_OF_OBJECTS = frozenset((*_OF_BOTH, "bucket-owner-read", "bucket-owner-full-control"))
#: For a service that is not here.
_EXEC_READ = "aws-exec-read"
_EVERY_CANNED = frozenset((*_OF_BUCKETS, _EXEC_READ))

#: What gives nobody but the owners anything: the case anyway where ACLs are disabled.
_HARMLESS = frozenset(("private", "bucket-owner-read", "bucket-owner-full-control"))
_BUCKET_OWNER_FULL_CONTROL = "bucket-owner-full-control"

#: One grantee of a header: a kind, and a value that may be in quotes.
_GRANTEE = re.compile(r'\s*(?P<kind>[A-Za-z]+)\s*=\s*(?:"(?P<quoted>[^"]*)"|(?P<plain>[^",\s]*))\s*', re.ASCII)

#: Gives the name of the account with a canonical user id, or None.
FindAccount = Callable[[str], str | None]


# From a request ---------------------------------------------------------------------------------------------------


def asks_for_acl(header: Header) -> bool:
    """Whether the headers say anything of an ACL."""
    return any(header(name) is not None for name in (CANNED, *_HEADERS))


def wants_bucket_owner(header: Header) -> bool:
    """Whether the bucket's owner is to have full control, by the canned ACL that says so."""
    return header(CANNED) == _BUCKET_OWNER_FULL_CONTROL


def check_disabled(header: Header, *, strict: bool) -> None:
    """Where ACLs are disabled: accept those that say what is the case anyway, and refuse all others.

    :param strict: accept only what S3 accepts there: the bucket owner's full control.
    :raises S3Error: AccessControlListNotSupported; InvalidArgument for what is no canned ACL.
    """
    canned = header(CANNED)
    if canned is not None:
        _check_canned(canned, _EVERY_CANNED)
        if canned not in ({_BUCKET_OWNER_FULL_CONTROL} if strict else _HARMLESS):
            raise S3Error("AccessControlListNotSupported")
    if any(header(name) is not None for name in _HEADERS):
        raise S3Error("AccessControlListNotSupported")


def acl_of_headers(header: Header, owner: str, find: FindAccount, *, bucket_owner: str | None = None) -> Acl:
    """The ACL that the headers of a request ask for; the private one if they ask for none.

    :param owner: the account that owns what is to have it.
    :param bucket_owner: the owner of the bucket that an object is in; None for the ACL of a bucket.
    :raises S3Error: InvalidArgument, InvalidRequest, UnresolvableGrantByEmailAddress, NotImplemented.
    """
    canned = header(CANNED)
    grants = list(_header_grants(header, find))
    if canned is None:
        # Whoever makes something has full control of it, unless it says another thing.
        return _acl(owner, grants or [Grant(owner, FULL_CONTROL)])
    if grants:
        raise S3Error("InvalidRequest", "Specifying both Canned ACLs and Header Grants is not allowed")
    _check_canned(canned, _EVERY_CANNED)
    if canned == _EXEC_READ:
        raise S3Error("NotImplemented", "There is no service that this ACL is for.", Header=CANNED)
    own = Grant(owner, FULL_CONTROL)
    if bucket_owner is None:
        return _acl(owner, [*_OF_BUCKETS[canned], own])
    _check_canned(canned, _OF_OBJECTS)
    if canned in _OF_BOTH:
        return _acl(owner, [*_OF_BOTH[canned], own])
    if bucket_owner == owner:
        return _acl(owner, [own])
    return _acl(owner, [own, Grant(bucket_owner, READ if canned == "bucket-owner-read" else FULL_CONTROL)])


def _check_canned(canned: str, known: frozenset[str]) -> None:
    if canned not in known:
        raise S3Error("InvalidArgument", ArgumentName=CANNED, ArgumentValue=canned)


def _acl(owner: str, grants: list[Grant]) -> Acl:
    unique = tuple(dict.fromkeys(grants))
    if len(unique) > MAX_GRANTS:
        raise S3Error("MalformedACLError", f"An ACL can have up to {MAX_GRANTS} grants.")
    return Acl(owner, unique)


def _header_grants(header: Header, find: FindAccount) -> Iterator[Grant]:
    for name, permission in _HEADERS.items():
        text = header(name)
        if text is None:
            continue
        at = 0
        while True:
            found = _GRANTEE.match(text, at)
            if found is None or text[found.end() : found.end() + 1] not in ("", ","):
                raise S3Error(
                    "InvalidArgument", "Argument format not recognized", ArgumentName=name, ArgumentValue=text
                )
            value = found["plain"] if found["quoted"] is None else found["quoted"]
            yield Grant(_grantee(found["kind"], value, find), permission)
            at = found.end() + 1
            if at > len(text):
                break


def _grantee(kind: str, value: str, find: FindAccount) -> str:
    """The grantee that a request names.

    :param kind: ``id``, ``uri`` or ``emailAddress``.
    """
    if kind.lower() == "id":
        # Nobody is no account: what everybody may is given to a group, which the public access block knows.
        account = find(value)
        if account is None:
            raise S3Error("InvalidArgument", "Invalid id", ArgumentName="CanonicalUser/ID", ArgumentValue=value)
        return account
    if kind.lower() == "uri":
        if value not in _GROUPS:
            raise S3Error("InvalidArgument", "Invalid group uri", ArgumentName="Group/URI", ArgumentValue=value)
        return _GROUPS[value]
    if kind.lower() == "emailaddress":
        # No account has an address.
        raise S3Error("UnresolvableGrantByEmailAddress", EmailAddress=value)
    raise S3Error("InvalidArgument", "Argument format not recognized", ArgumentName=kind, ArgumentValue=value)


_KINDS = {"ID": "id", "URI": "uri", "EmailAddress": "emailAddress"}


def parse_policy(body: bytes, owner: str, find: FindAccount) -> Acl:
    """The ACL that an AccessControlPolicy says.

    :param owner: the account that owns what is to have it; it cannot be given away.
    :raises S3Error: MalformedXML, MalformedACLError, AccessDenied for another owner, and as `acl_of_headers`.
    """
    root = xml.parse(body, "AccessControlPolicy", max_elements=8 * MAX_GRANTS).only("Owner", "AccessControlList")
    for node in root.each("Owner"):
        if (node.only("ID", "DisplayName").value("ID") or "").strip() != accounts.canonical_id(owner):
            raise S3Error("AccessDenied")
    lists = list(root.each("AccessControlList"))
    if len(lists) != 1:
        raise S3Error("MalformedACLError")
    return _acl(owner, [_grant(node, find) for node in lists[0].only("Grant").children])


def _grant(node: Node, find: FindAccount) -> Grant:
    grantees = list(node.only("Grantee", "Permission").each("Grantee"))
    permission = (node.value("Permission") or "").strip()
    if len(grantees) != 1 or permission not in PERMISSIONS:
        raise S3Error("MalformedACLError")
    grantee = grantees[0].only("DisplayName", *_KINDS)
    # The attribute that tells the kind says nothing that the elements do not.
    named = [(kind, value) for element, kind in _KINDS.items() if (value := grantee.value(element)) is not None]
    if len(named) != 1:
        raise S3Error("MalformedACLError")
    ((kind, value),) = named
    return Grant(_grantee(kind, value.strip(), find), permission)


# Into an answer ---------------------------------------------------------------------------------------------------


def policy(acl: Acl) -> bytes:
    """The document of an ACL."""
    root = xml.root("AccessControlPolicy")
    owner_of(acl.owner).add_to(root)
    parent = root.add("AccessControlList")
    # Groups first: the order means nothing, and there are clients that know no other.
    for grantee, permission in sorted(acl.grants, key=lambda grant: grant.grantee not in GROUPS):
        grant = parent.add("Grant")
        if grantee in GROUPS:
            element = grant.add("Grantee")
            element.set("type", "Group")
            element.add("URI", _URIS[grantee])
        else:
            owner_of(grantee).add_to(grant, "Grantee").set("type", "CanonicalUser")
        grant.add("Permission", permission)
    return root.document()
