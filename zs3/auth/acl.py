"""Access control lists, and the text that they are kept as.  Pure.

A list is kept in the configuration of a bucket and in the record of an object
as one line, owner first: ``alice FULL_CONTROL:alice READ:@AllUsers``.

Source: Amazon S3 User Guide, "Access control list (ACL) overview".
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

READ, WRITE, READ_ACP, WRITE_ACP, FULL_CONTROL = "READ", "WRITE", "READ_ACP", "WRITE_ACP", "FULL_CONTROL"
#: In the order in which the headers of grants are read.
PERMISSIONS = (READ, WRITE, READ_ACP, WRITE_ACP, FULL_CONTROL)

ALL_USERS, AUTHENTICATED_USERS, LOG_DELIVERY = "@AllUsers", "@AuthenticatedUsers", "@LogDelivery"
GROUPS = frozenset((ALL_USERS, AUTHENTICATED_USERS, LOG_DELIVERY))
#: What makes a list public.
EVERYBODY = frozenset((ALL_USERS, AUTHENTICATED_USERS))

MAX_GRANTS = 100

#: Owns what has a record that cannot be read.  No account can be called so.
_NOBODY = "@nobody"


class Grant(NamedTuple):
    """:ivar grantee: the name of an account, or one of `GROUPS`.
    :ivar permission: one of `PERMISSIONS`.
    """

    grantee: str
    permission: str


@dataclass(frozen=True, slots=True)
class Acl:
    """Who owns a bucket or an object, and who else may do what with it.

    :ivar owner: the name of an account.
    """

    owner: str
    grants: tuple[Grant, ...]

    @property
    def text(self) -> str:
        """The one line that `read_acl` reads."""
        return " ".join((self.owner, *(f"{grant.permission}:{grant.grantee}" for grant in self.grants)))

    @property
    def is_public(self) -> bool:
        """Whether it gives anything to everybody, or to everybody who has an account anywhere."""
        return any(grant.grantee in EVERYBODY for grant in self.grants)


@functools.lru_cache(maxsize=1024)
def private(owner: str) -> Acl:
    """What there is where nothing else was said: full control for the owner, nothing for others."""
    return Acl(owner, (Grant(owner, FULL_CONTROL),))


@functools.lru_cache(maxsize=1024)
def read_acl(text: str) -> Acl:
    """The list that a line says.  One that cannot be read (others can write there) is nobody's and grants nothing."""
    owner, *words = text.split(" ")
    grants = [Grant(grantee, permission) for permission, _, grantee in (word.partition(":") for word in words)]
    if not owner or not all(grant.grantee and grant.permission in PERMISSIONS for grant in grants):
        return Acl(_NOBODY, ())
    return Acl(owner, tuple(grants))
