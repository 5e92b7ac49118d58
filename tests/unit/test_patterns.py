import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs3.auth.patterns import (
    Automaton,
    Variable,
    as_text,
    compile_pattern,
    has_variables,
    normal_key,
    resolve,
    tokenize,
)

SIMPLE = st.text(alphabet="ab/*?", max_size=12)


def matches(pattern, text):
    return compile_pattern(tokenize(pattern, wildcards=True, variables=False))(text)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("", "", True),
        ("", "a", False),
        ("*", "", True),
        ("*", "any/thing", True),
        ("a*", "a", True),
        ("a*", "b", False),
        ("*a", "ba", True),
        ("*a", "ab", False),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("a*b*c", "abc", True),
        ("a*b*c", "acb", False),
        ("*.jpg", "2024/cat.jpg", True),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("?", "", False),
        ("??*", "a", False),
        ("a*?", "a", False),
        ("[a]", "a", False),
        ("a.c", "abc", False),
        ("a*\n", "ab\n", True),
        ("é?", "éx", True),
    ],
)
def test_wildcards(pattern, text, expected):
    assert matches(pattern, text) is expected


@given(SIMPLE, st.text(alphabet="ab/", max_size=12))
def test_wildcards_match_as_the_regular_expression_does(pattern, text):
    expression = "".join({"*": ".*", "?": "."}.get(each, re.escape(each)) for each in pattern)
    assert matches(pattern, text) is bool(re.fullmatch(expression, text, re.DOTALL))


@given(st.lists(SIMPLE, max_size=4), st.text(alphabet="ab/", max_size=8))
def test_patterns_are_tried_together_as_one_by_one(patterns, text):
    together = Automaton(*(tokenize(pattern, wildcards=True, variables=False) for pattern in patterns))
    assert together.accepts(text) is any(matches(pattern, text) for pattern in patterns)


@pytest.mark.parametrize("pattern", ["*a" * 5000 + "b", "?*a" * 3000 + "b", "*" * 20000 + "b"])
def test_no_pattern_goes_back_and_tries_again(pattern):
    # With backtracking, this would not end.
    assert not matches(pattern, "a" * 16000)


def test_variables_are_told_from_text():
    assert tokenize("a${aws:username}b", wildcards=True, variables=True) == ("a", Variable("aws:username"), "b")
    assert tokenize("${aws:UserName, 'x y'}", wildcards=True, variables=True) == (Variable("aws:username", "x y"),)
    assert tokenize("${s3:ExistingObjectTag/Ab}", wildcards=True, variables=True) == (
        Variable("s3:existingobjecttag/Ab"),
    )
    assert not has_variables(tokenize("${aws:username}", wildcards=True, variables=False))


@pytest.mark.parametrize("text", ["${}", "${username}", "${aws:username,}", "${aws:nobodyknows}", "${ aws:username}"])
def test_what_is_no_variable_is_refused(text):
    with pytest.raises(ValueError, match="is no policy variable"):
        tokenize(text, wildcards=True, variables=True)


def test_what_is_not_closed_is_text():
    assert as_text(tokenize("a${b", wildcards=True, variables=True)) == "a${b"


def test_characters_can_be_spelled_as_variables():
    pattern = compile_pattern(tokenize("${*}${?}${$}*", wildcards=True, variables=True))
    assert pattern("*?$x")
    assert not pattern("aaax")


def test_values_stand_for_themselves():
    tokens = tokenize("home/${aws:username}/*", wildcards=True, variables=True)
    resolved = resolve(tokens, {"aws:username": "*"}.get)
    assert compile_pattern(resolved)("home/*/x")
    assert not compile_pattern(resolved)("home/alice/x")


def test_without_a_value_there_is_the_default_or_nothing():
    tokens = tokenize("${aws:username, 'nobody'}", wildcards=True, variables=True)
    assert resolve(tokens, {}.get) == ("nobody",)
    assert resolve(tokens, {"aws:username": "alice"}.get) == ("alice",)
    assert resolve(tokenize("${aws:username}", wildcards=True, variables=True), {}.get) is None


def test_only_the_name_of_a_tag_has_case():
    assert normal_key("AWS:SourceIp") == "aws:sourceip"
    assert normal_key("S3:ExistingObjectTag/Team/A") == "s3:existingobjecttag/Team/A"
