"""Gives objects what MinIO, in its old file system mode, knew of them.

python minio_metadata.py /srv/minio, with the daemon and the keys in the environment (zs3 client-config env).
"""

import json
import sys
from pathlib import Path

import boto3
from boto3.s3.transfer import TransferConfig

HEADERS = {
    "content-type": "ContentType",
    "cache-control": "CacheControl",
    "content-disposition": "ContentDisposition",
    "content-encoding": "ContentEncoding",
    "content-language": "ContentLanguage",
    "x-amz-tagging": "Tagging",
}
USER = "x-amz-meta-"
WHOLE = TransferConfig(multipart_threshold=5 << 30)

root = Path(sys.argv[1])
known = root / ".minio.sys/buckets"
s3 = boto3.client("s3")
for path in sorted(known.glob("*/**/fs.json")):
    bucket, *names = path.parent.relative_to(known).parts
    key = "/".join(names)
    if not key or not (root / bucket / key).is_file():
        continue
    told = {name.lower(): value for name, value in (json.loads(path.read_bytes()).get("meta") or {}).items()}
    arguments = {HEADERS[name]: value for name, value in told.items() if name in HEADERS}
    arguments["Metadata"] = {name.removeprefix(USER): value for name, value in told.items() if name.startswith(USER)}
    arguments |= {"MetadataDirective": "REPLACE", "TaggingDirective": "REPLACE"}
    s3.copy({"Bucket": bucket, "Key": key}, bucket, key, ExtraArgs=arguments, Config=WHOLE)
    print(f"{bucket}/{key}")
