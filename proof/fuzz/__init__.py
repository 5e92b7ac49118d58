"""Fuzzing of whatever reads what a client sends: ``python -m proof.fuzz TARGET [SECONDS]``, with atheris installed.

``corpora/TARGET`` holds the inputs that it begins with, and those that found something; the tests replay them.
"""
