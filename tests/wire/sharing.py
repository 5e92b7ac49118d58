"""What the tests of access have in common: ACLs as documents and as what they say."""

from tests.wire.daemon import parse
from zs3.auth import accounts

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
AUTHENTICATED = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
XSI = "{http://www.w3.org/2001/XMLSchema-instance}type"


def outcome(response):
    return response.status, response.error_code


DENIED = (403, "AccessDenied")


def canonical(account):
    return f'id="{accounts.canonical_id(account)}"'


def policy(owner, *grants):
    """An AccessControlPolicy; a grant is an account or a URI, and a permission."""
    body = f"<AccessControlPolicy><Owner><ID>{accounts.canonical_id(owner)}</ID></Owner><AccessControlList>"
    for who, permission in grants:
        named = f"<URI>{who}</URI>" if "/" in who else f"<ID>{accounts.canonical_id(who)}</ID>"
        body += f"<Grant><Grantee>{named}</Grantee><Permission>{permission}</Permission></Grant>"
    return f"{body}</AccessControlList></AccessControlPolicy>".encode()


def grants(client, path):
    """The grants of an ACL as pairs of what is granted and to whom; the owner first."""
    root = parse(client("GET", path, {"acl": ""}))
    found = [root.findtext("Owner/DisplayName")]
    for grant in root.findall("AccessControlList/Grant"):
        grantee = grant.find("Grantee")
        kind = {"CanonicalUser": "DisplayName", "Group": "URI"}[grantee.get(XSI)]
        found.append((grantee.findtext(kind), grant.findtext("Permission")))
    return found
