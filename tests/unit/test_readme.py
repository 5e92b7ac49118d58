"""What README.rst claims, as far as a test can know."""

import re
from pathlib import Path

from zs3.web.operations import OPERATIONS
from zs3.web.untouched import BUCKET, OBJECT

README = (Path(__file__).parents[2] / "README.rst").read_text("utf-8")


def test_the_operations_of_the_readme_are_those_of_the_table():
    section = README.partition(".. operations\n")[2].partition(".. operations end\n")[0]
    told = set(re.findall(r"\b[A-Z][a-z]+[A-Z]\w+", section))
    untouched = {name for each in (*BUCKET.values(), *OBJECT.values()) for name in (each.read, each.remove)}
    only_refuse = {"RestoreObject"}
    assert told == {each.name for each in OPERATIONS} - untouched - only_refuse


def test_the_commands_for_start_and_tests_are_there_once():
    lines = README.splitlines()
    assert sum("pip install ." in line and "twistd -n --pidfile= zs3 --data" in line for line in lines) == 1
    assert sum("pip install -c constraints.txt -e '.[test]'" in line and "pytest" in line for line in lines) == 1
