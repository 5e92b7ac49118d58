"""The console: a web page for people, on an origin of its own.

`files` has the page, `resources` tells requests for it from those that it makes,
`api` is what it needs beside S3.  Nothing of S3 is served here in another way
than elsewhere: the page signs its requests as every client does.
"""
