"""`python -m bench`: zs3 and other servers of S3, measured side by side on one machine.

Not a part of the package that is installed and not a test: nothing fails
because something was slow.  docs/benchmark.rst tells how to read the result.
"""
