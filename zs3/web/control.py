"""What S3 Control, the other API of S3, has of an account: its public access block.

Told apart from requests for an object of that name in a bucket ``v20180820`` by
a header that no operation of S3 itself has.  What the block means for other
requests is `zs3.auth.access`'s affair.

Source: Amazon S3 Control API Reference (2018-08-20), PutPublicAccessBlock,
GetPublicAccessBlock, DeletePublicAccessBlock.
"""

from __future__ import annotations

from zs3.auth import access, accounts
from zs3.auth.access import BLOCKS, PUBLIC_ACCESS_BLOCK
from zs3.errors import S3Error
from zs3.store.values import DamagedError
from zs3.web import xml
from zs3.web.authorize import Denied
from zs3.web.bodies import CONFIGURATION_SIZE, parse_public_access_block
from zs3.web.call import Call
from zs3.web.request import Request
from zs3.web.responses import send_empty, send_xml

_PATH = b"/v20180820/configuration/publicAccessBlock"
_ACCOUNT_ID = "x-amz-account-id"


def is_control(request: Request, host_bucket: str | None) -> bool:
    """Whether a request is of this API.

    :param host_bucket: what stands before our own name in the host: SDKs put the account's id there; or None.
    """
    if request.raw_path != _PATH:
        return False
    account_id = request.header(_ACCOUNT_ID)
    return account_id is not None and host_bucket in (None, account_id)


def _check_account(call: Call) -> str:
    """The account of who asks, which must be the one that is asked about."""
    account = call.principal.account
    if call.header(_ACCOUNT_ID) != accounts.account_id(account):
        raise Denied("it is about another account than that of the user")
    return account


async def get_public_access_block(call: Call) -> None:
    """GetPublicAccessBlock, of the account; what counts for it, where what is kept cannot be read."""
    account = _check_account(call)
    try:
        configuration = await call.store.get_account(account)
    except DamagedError:
        block = access.ALL_BLOCKED
    else:
        if PUBLIC_ACCESS_BLOCK not in configuration:
            raise S3Error("NoSuchPublicAccessBlockConfiguration", AccountId=accounts.account_id(account))
        block = access.account_block(configuration)
    root = xml.root("PublicAccessBlockConfiguration", namespace=xml.CONTROL_NAMESPACE)
    for name in BLOCKS:
        root.add(name, name in block)
    send_xml(call.request, root.document())


async def put_public_access_block(call: Call) -> None:
    """PutPublicAccessBlock, of the account."""
    account = _check_account(call)
    wanted = parse_public_access_block(await call.read_document(CONFIGURATION_SIZE), xml.CONTROL_NAMESPACE)
    await call.store.change_account(account, lambda configuration: configuration.update({PUBLIC_ACCESS_BLOCK: wanted}))
    send_empty(call.request, 200)


async def delete_public_access_block(call: Call) -> None:
    """DeletePublicAccessBlock, of the account: what is not there is as good as deleted."""
    account = _check_account(call)
    await call.store.change_account(account, lambda configuration: configuration.pop(PUBLIC_ACCESS_BLOCK, None))
    send_empty(call.request, 200)
