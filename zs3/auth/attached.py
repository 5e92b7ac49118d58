"""The policies that users have, as the users file names them.  Pure.

The file::

    [policies.home]
    document = '''
    {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}
    '''

A document is text, not a table of TOML: it is what AWS's tools write and read,
and it is read in one way, by which a name that is there twice is noticed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from zs3.auth.policy import Policy, parse_policy
from zs3.errors import S3Error


def parse_policies(tables: Any) -> dict[str, Policy]:
    """The policies of a file by name.

    :param tables: what the file has as `policies`.
    :raises ValueError: with a message that names the policy.
    """
    if not isinstance(tables, dict):
        raise ValueError("policies must be tables [policies.NAME]")
    return {name: _parse(name, table) for name, table in tables.items()}


def _parse(name: str, table: Any) -> Policy:
    if not isinstance(table, dict) or table.keys() != {"document"} or not isinstance(table["document"], str):
        raise ValueError(f"policies.{name}: must be a table [policies.{name}] with a text, document, and nothing else")
    try:
        policy = parse_policy(table["document"], None)
    except S3Error as error:
        raise ValueError(f"policies.{name}: {error.message}") from None
    return Policy(replace(each, label=f"{name}, {each.label}") for each in policy.statements)


def attached(names: Any, policies: Mapping[str, Policy]) -> Policy:
    """One policy that says all that those with some names say.

    :param names: what a user has as `policies`.
    :param policies: those that there are.
    :raises ValueError: it is no list of their names.
    """
    if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
        raise ValueError("policies must be a list of names")
    for name in names:
        if name not in policies:
            raise ValueError(f"there is no policy {name!r}: it would be a table [policies.NAME]")
    return Policy(statement for name in names for statement in policies[name].statements)
