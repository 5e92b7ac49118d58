"""That no command of the manual escapes the tests that type them."""

from pathlib import Path

import pytest

from tests.pages import PageError, blocks

PAGE = """\
Title
=====

Type:

.. code-block:: shell

   one \\
      two

.. not run: it takes root, and courage

.. code-block:: shell

   three

* In a list:

  .. needs: restic, cp

  .. code-block:: python

     four

.. code-block:: json
   :caption: five.json

   {}
"""


def page(directory: Path, text: str) -> Path:
    path = directory / "page.rst"
    path.write_text(text, "utf-8")
    return path


def test_blocks_have_their_lines_and_what_is_said_of_them(tmp_path: Path) -> None:
    found = blocks(page(tmp_path, PAGE))
    assert [(each.language, each.line, each.text) for each in found] == [
        ("shell", 8, "one \\\n   two\n"),
        ("shell", 15, "three\n"),
        ("python", 23, "four\n"),
        ("json", 28, "{}\n"),
    ]
    assert [each.reason for each in found] == ["", "it takes root, and courage", "", ""]
    assert [each.needs for each in found] == [(), (), ("restic", "cp"), ()]
    assert found[3].caption == "five.json"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Type::\n\n   twistd zs3\n", "page.rst:1: commands belong in"),
        (".. code-block:: text\n\n   $ aws s3 ls\n", "page.rst:1: commands belong in"),
        (".. code-block:: shell\n\n   true\n   systemctl restart zs3\n", "this takes root"),
        (".. code-block:: shell\n\n   cp -r systemd /etc/systemd\n", "this takes root"),
        (".. code-block:: bash\n\n   ls\n", "page.rst:1: say `shell`"),
        (".. not run: no time\n\n.. code-block:: shell\n\n   ls\n", "'no time' is no reason"),
        (".. not run: it takes root\n\nText.\n", "stands before something that is no block"),
    ],
)
def test_what_would_escape_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PageError, match=message):
        blocks(page(tmp_path, text))
