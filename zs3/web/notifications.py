"""The operations that configure of which events of a bucket the administrator's targets are told.

No request names where anything is sent to: there are the targets of the
administrator, and an ARN that names none of them is refused.
"""

from __future__ import annotations

import time
from typing import Any

from zs3.errors import S3Error
from zs3.events.records import trial_message
from zs3.events.rules import NOTIFICATION, kept, rules_of
from zs3.web import notificationxml
from zs3.web.call import Call
from zs3.web.headers import check_bucket_owner
from zs3.web.responses import send_empty, send_xml

_SKIP = "x-amz-skip-destination-validation"


async def put_bucket_notification_configuration(call: Call) -> None:
    """PutBucketNotificationConfiguration: replaces all rules that there were; none, to have none.

    Each target is sent a test, as S3 does, and must take it.
    """
    check_bucket_owner(call.header, call.owner.id)
    skip = (call.header(_SKIP) or "false").lower()
    if skip not in ("true", "false"):
        raise S3Error("InvalidArgument", ArgumentName=_SKIP, ArgumentValue=skip)
    events = call.settings.events
    rules = notificationxml.parse(await call.read_document(notificationxml.SIZE), events.targets)
    if skip == "false":
        request = call.request
        test = trial_message(str(call.bucket), request.request_id, request.site.host_id, time.time_ns())
        for target, arn in {rule.target: rule.arn for rule in rules}.items():
            if not await events.send(target, test):
                raise S3Error(
                    "InvalidArgument", "Unable to validate the following destination configurations",
                    ArgumentName=arn, ArgumentValue="The destination did not accept the test event.",
                )  # fmt: skip

    def change(configuration: dict[str, Any]) -> None:
        configuration.pop(NOTIFICATION, None)
        if rules:
            configuration[NOTIFICATION] = kept(rules)

    await call.store.change_configuration(call.bucket, change)
    await events.configured()
    send_empty(call.request, 200)


async def get_bucket_notification_configuration(call: Call) -> None:
    """GetBucketNotificationConfiguration: an empty document where there is none."""
    check_bucket_owner(call.header, call.owner.id)
    configuration = await call.store.get_configuration(call.bucket)
    send_xml(call.request, notificationxml.document(tuple(rules_of(configuration))))
