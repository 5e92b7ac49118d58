"""zs3: the S3 REST API over a directory of plain files, on Twisted."""

__version__ = "0.1.0"
