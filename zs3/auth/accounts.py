"""Accounts: what owns buckets and objects, and is named in ACLs.

A user acts for one account.  An account is its name; whatever clients see of it
is made of that, so that nothing has to be kept anywhere.
"""

from __future__ import annotations

import functools
import hashlib
import re

#: Whose users have no other account, and whose buckets have no other owner.
DEFAULT = "default"

#: Stands in an owner's place where nobody signed the request.  No account can be called so.
ANONYMOUS = "@anonymous"

#: Amazon S3 User Guide, "ACL overview": the canonical user id of what an unsigned request made.
_ANONYMOUS_ID = "65a011a29cdf8ec533ec3d1ccaae921c"

#: No white space, colon or leading at sign: names are parts of a record's text (see `zs3.auth.acl`).
is_account_name = re.compile(r"[A-Za-z0-9._+-][A-Za-z0-9._@+-]{0,63}", re.ASCII).fullmatch

_is_account_id = re.compile(r"[0-9]{12}", re.ASCII).fullmatch


@functools.lru_cache(maxsize=1024)
def canonical_id(account: str) -> str:
    """S3's canonical user id of an account: always the same for a name."""
    if account == ANONYMOUS:
        return _ANONYMOUS_ID
    return hashlib.sha256(b"zs3 account " + account.encode("utf-8", "surrogatepass")).hexdigest()


@functools.lru_cache(maxsize=1024)
def account_id(account: str) -> str:
    """AWS's account id of an account, twelve digits: always the same for a name, and the name itself if it is one.

    There are fewer ids than names: it may confirm which account is meant, and never says whose something is.
    """
    if _is_account_id(account):
        return account
    digest = hashlib.sha256(b"zs3 account id " + account.encode("utf-8", "surrogatepass")).digest()
    return f"{int.from_bytes(digest[:16], 'big') % 10**12:012}"


def display_name(account: str) -> str:
    """What people call an account, S3's DisplayName."""
    return account.removeprefix("@")
