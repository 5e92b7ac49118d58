"""A browser's side of a form upload, signed by botocore."""

import base64
import json
import time

from botocore.auth import HmacV1PostAuth, S3SigV4PostAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

BOUNDARY = "----WebKitFormBoundaryePkpFF7tjBAqx29L"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def part(name, value, *, filename=None, boundary=BOUNDARY, more=""):
    disposition = f'form-data; name="{name}"' + ("" if filename is None else f'; filename="{filename}"')
    value = value if isinstance(value, bytes) else value.encode()
    return f"--{boundary}\r\nContent-Disposition: {disposition}\r\n{more}\r\n".encode() + value + b"\r\n"


def end(boundary=BOUNDARY):
    return f"--{boundary}--\r\n".encode()


def form(fields, content=b"content", *, filename="cat.jpg", boundary=BOUNDARY):
    """The body of a form whose last field is the file; `fields` is a dict or pairs."""
    pairs = fields.items() if isinstance(fields, dict) else fields
    parts = [part(name, value, boundary=boundary) for name, value in pairs]
    return b"".join((*parts, part("file", content, filename=filename, boundary=boundary), end(boundary)))


def document(conditions, *, expires=600):
    """A policy document, valid for so many seconds from now."""
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + expires))
    return {"expiration": when, "conditions": conditions}


def encode(policy):
    return base64.b64encode(json.dumps(policy).encode()).decode()


def conditions_for(fields, bucket):
    """One exact condition for every field."""
    return [{"bucket": bucket}, *({name: value} for name, value in fields.items())]


def signed(fields, policy, user, *, region="us-east-1", v2=False):
    """The fields with the policy and its signature."""
    request = AWSRequest("POST", "http://s3.test/")
    fields = dict(fields)
    request.context.update({"s3-presign-post-fields": fields, "s3-presign-post-policy": policy})
    credentials = Credentials(user.access_key, user.secret_key)
    signer = HmacV1PostAuth(credentials) if v2 else S3SigV4PostAuth(credentials, "s3", region)
    signer.add_auth(request)
    return fields
