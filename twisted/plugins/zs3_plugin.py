"""`twistd zs3` and `--auth zs3:FILE`, where `twisted.plugin` finds them."""

from twisted.application.service import ServiceMaker

from zs3.auth.credentials import ZS3CheckerFactory

zs3_service = ServiceMaker("zs3", "zs3.tap", "An S3 server over a directory of plain files.", "zs3")

zs3_users_file = ZS3CheckerFactory()
