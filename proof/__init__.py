"""Long runs that prove what docs/reliability.rst says; the short ones are in the tests.

Each is a module, run by hand with the test dependencies: ``python -m proof.NAME``.
"""
