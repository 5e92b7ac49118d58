"""What the tests of `zs3 doctor` share."""

import json
import os

from zs3.doctor.findings import Finding


def failing(number):
    """What fails with an errno, whatever it is given."""

    def fail(*_args, **_kwargs):
        raise OSError(number, os.strerror(number))

    return fail


def told(finding):
    """A finding as one that people can use."""
    assert isinstance(finding, Finding)
    assert finding.fact.isprintable()
    json.dumps(dict(finding.values))
    return finding.verdict
