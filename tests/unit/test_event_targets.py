"""The file of the targets of event notifications."""

import pytest

from zs3.events.targets import Target, load, parse


def test_what_the_file_says():
    text = """
    [targets.one]
    url = "http://127.0.0.1:8000/hook?x=1"

    [targets.two-2]
    url = "https://hooks.example"
    token = "sesame open"
    ca = "/etc/ca.pem"
    timeout = 3
    batch = 100
    queue = 1
    """
    assert parse(text) == {
        "one": Target("one", "http://127.0.0.1:8000/hook?x=1"),
        "two-2": Target("two-2", "https://hooks.example", "Bearer sesame open", "/etc/ca.pem", 3, 100, 1),
    }


def test_the_secret_is_not_shown():
    (target,) = parse('[targets.a]\nurl = "https://h/secret-path"\nauthorization = "Basic c2VjcmV0"').values()
    assert "c2VjcmV0" not in repr(target)
    assert target.place == "https://h"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "unknown setting 'x'"),
        ("targets = 1", "every target is a table"),
        ("[targets]\na = 1", "targets.a: must be a table"),
        ('[targets."a b"]\nurl = "http://h"', "a name is"),
        ("[targets.a]", "url must be"),
        ('[targets.a]\nurl = "ftp://h"', "url must be"),
        ('[targets.a]\nurl = "http://user:secret@h"', "url must be"),
        ('[targets.a]\nurl = "http://h:0"', "url must be"),
        ('[targets.a]\nurl = "http://h:99999"', "url must be"),
        ('[targets.a]\nurl = "http:///x"', "url must be"),
        ('[targets.a]\nurl = "http://h"\ntimeout = 0', "timeout must be"),
        ('[targets.a]\nurl = "http://h"\nqueue = true', "queue must be"),
        ('[targets.a]\nurl = "http://h"\ntoken = 1', "token must be a text"),
        ('[targets.a]\nurl = "http://h"\ntoken = "a\\r\\nb"', "must be printable"),
        ('[targets.a]\nurl = "http://h"\ntoken = "a"\nauthorization = "b"', "one header"),
        ('[targets.a]\nurl = "http://h"\nca = "ca.pem"', "absolute"),
        ('[targets.a]\nurl = "http://h"\nwhat = 1', "unknown setting 'what'"),
    ],
)
def test_what_is_wrong_is_told_without_secrets(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        parse(text)
    assert "secret" not in str(caught.value)


def test_a_file_that_others_can_read_is_refused(tmp_path):
    path = tmp_path / "targets.toml"
    path.write_text('[targets.a]\nurl = "http://h"')
    path.chmod(0o644)
    with pytest.raises(ValueError, match="others can read"):
        load(str(path))
    path.chmod(0o600)
    assert list(load(str(path))) == ["a"]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"targets\.toml: No such file"):
        load(str(tmp_path / "targets.toml"))
