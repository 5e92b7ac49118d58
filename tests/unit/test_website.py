"""The website configuration: what documents say, what is refused, and where rules send to."""

import json
import re
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from zs3.errors import S3Error
from zs3.web import website
from zs3.web.website import Redirect, Rule, Website

INDEX = "<IndexDocument><Suffix>index.html</Suffix></IndexDocument>"


def document(*elements):
    return f"<WebsiteConfiguration>{''.join(elements)}</WebsiteConfiguration>".encode()


def rule(redirect="<HostName>h</HostName>", condition=""):
    where = f"<Condition>{condition}</Condition>" if condition else ""
    return f"<RoutingRule>{where}<Redirect>{redirect}</Redirect></RoutingRule>"


def routing(*rules):
    return document(INDEX, f"<RoutingRules>{''.join(rules)}</RoutingRules>")


text = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufffe\uffff"), max_size=20)
some_text = text.filter(bool)
host = st.from_regex(re.compile(r"[0-9a-z]{1,9}(:[0-9]{1,4})?", re.ASCII), fullmatch=True)
protocol = st.sampled_from(["", "http", "https"])
redirect = st.builds(
    Redirect, host=host | st.just(""), protocol=protocol, code=st.sampled_from(["", "301", "307", "399"]),
    prefix=st.none() | text,
) | st.builds(Redirect, host=host | st.just(""), protocol=protocol, key=text)  # fmt: skip
rules = st.builds(
    Rule,
    redirect.filter(lambda each: each != Redirect()),
    st.none() | text,
    st.sampled_from(["", "400", "404", "599"]),
)
configured = st.builds(
    Website, index=some_text.map(lambda name: name.replace("/", "_")), error=text, rules=st.lists(rules, max_size=3)
) | st.builds(Website, everything=st.builds(Redirect, host=host, protocol=protocol))


@given(configured)
def test_what_a_document_says_is_what_was_read_of_one(site):
    assert website.parse(website.document(site)) == Website(site.index, site.error, site.everything, site.rules or ())


@given(configured)
def test_what_is_kept_of_a_bucket_is_what_was_configured(site):
    kept = {"cors": []}
    website.set_website(kept, site)
    again = website.website_of(json.loads(json.dumps(kept)))
    assert again == Website(site.index, site.error, site.everything, list(site.rules))
    website.set_website(kept, None)
    assert kept == {"cors": []}
    assert website.website_of(kept) is None


def test_the_elements_are_in_the_order_of_the_schema():
    site = Website("i", "e", None, [Rule(Redirect("h", "https", "302", "p"), "k", "404")])
    root = etree.fromstring(website.document(site))
    assert [etree.QName(each).localname for each in root.iter()] == [
        "WebsiteConfiguration", "IndexDocument", "Suffix", "ErrorDocument", "Key", "RoutingRules", "RoutingRule",
        "Condition", "KeyPrefixEquals", "HttpErrorCodeReturnedEquals", "Redirect", "HostName", "HttpRedirectCode",
        "Protocol", "ReplaceKeyPrefixWith",
    ]  # fmt: skip


def test_fifty_rules_are_the_most():
    assert len(website.parse(routing(*[rule()] * 50)).rules) == 50
    with pytest.raises(S3Error, match=r"InvalidRequest: 51 routing rules provided.*limited to 50"):
        website.parse(routing(*[rule()] * 51))


ALL = "<RedirectAllRequestsTo><HostName>h</HostName></RedirectAllRequestsTo>"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "MalformedXML"),
        (b"<CORSConfiguration/>", "MalformedXML"),
        (document(INDEX, "<Other/>"), "MalformedXML"),
        (document(INDEX, INDEX), "MalformedXML"),
        (document(), "InvalidArgument"),
        (document("<ErrorDocument><Key>e</Key></ErrorDocument>"), "InvalidArgument"),
        (document("<IndexDocument/>"), "MalformedXML"),
        (document("<IndexDocument><Suffix/></IndexDocument>"), "InvalidArgument"),
        (document("<IndexDocument><Suffix>a/b</Suffix></IndexDocument>"), "InvalidArgument"),
        (document(f"<IndexDocument><Suffix>{'a' * 1025}</Suffix></IndexDocument>"), "InvalidArgument"),
        (document(INDEX, "<ErrorDocument/>"), "MalformedXML"),
        (document(INDEX, "<ErrorDocument><Key/></ErrorDocument>"), "InvalidArgument"),
        (document(INDEX, f"<ErrorDocument><Key>{'ä' * 513}</Key></ErrorDocument>"), "InvalidArgument"),
        (document(ALL, INDEX), "InvalidRequest"),
        (document("<RedirectAllRequestsTo/>"), "MalformedXML"),
        (document("<RedirectAllRequestsTo><HostName/></RedirectAllRequestsTo>"), "InvalidRequest"),
        (document(ALL.replace("</HostName>", "</HostName><Protocol>ftp</Protocol>")), "InvalidRequest"),
        (document(ALL.replace("</HostName>", "</HostName><HttpRedirectCode>302</HttpRedirectCode>")), "MalformedXML"),
        (routing(), "MalformedXML"),
        (routing("<RoutingRule/>"), "MalformedXML"),
        (routing(rule("")), "InvalidRequest"),
        (routing(rule(condition="<Other/>")), "MalformedXML"),
        (routing(rule().replace("<Redirect>", "<Condition/><Redirect>")), "InvalidRequest"),
        (
            routing(rule("<ReplaceKeyWith>a</ReplaceKeyWith><ReplaceKeyPrefixWith>b</ReplaceKeyPrefixWith>")),
            "InvalidRequest",
        ),
        (routing(rule("<Protocol>javascript</Protocol>")), "InvalidRequest"),
        *(
            (routing(rule(f"<HttpRedirectCode>{status}</HttpRedirectCode>")), "InvalidRequest")
            for status in ("200", "300", "400", "3010", "301 ", "٣٠١")
        ),
        *(
            (
                routing(rule(condition=f"<HttpErrorCodeReturnedEquals>{status}</HttpErrorCodeReturnedEquals>")),
                "InvalidRequest",
            )
            for status in ("200", "600", "4", "4040", "", "٤٠٤")
        ),
        *(
            (routing(rule(f"<HostName>{name}</HostName>")), "InvalidRequest")
            for name in ("a b", "a&#13;&#10;Set-Cookie: b", "a&#10;", "/evil", "\\evil", "ä", "a" * 1025)
        ),
    ],
)
def test_what_s3_would_not_take_is_refused(body, code):
    with pytest.raises(S3Error) as caught:
        website.parse(body)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("redirect", "prefix", "key", "url"),
    [
        (Redirect(host="other"), None, "a/b c", "http://other/a/b%20c"),
        (Redirect(protocol="https"), None, "", "https://here:9000/"),
        (Redirect(host="other:81/path", protocol="https"), None, "a", "https://other:81/path/a"),
        (Redirect(key="b"), None, "a", "http://here:9000/b"),
        (Redirect(key="/b"), None, "a", "http://here:9000/b"),
        (Redirect(key=""), None, "a", "http://here:9000/"),
        (Redirect(key="b?c=d#e"), None, "a", "http://here:9000/b?c=d#e"),
        (Redirect(prefix="documents/"), "docs/", "docs/a", "http://here:9000/documents/a"),
        (Redirect(prefix=""), "docs/", "docs/a", "http://here:9000/a"),
        (Redirect(prefix="#!/"), None, "a/b", "http://here:9000/#!/a/b"),
        (Redirect(prefix="?page="), "", "a&b#?", "http://here:9000/?page=a&b%23%3F"),
        (Redirect(key="ä\r\nX: y"), None, "a", "http://here:9000/%C3%A4%0D%0AX:%20y"),
        (Redirect(code="302"), None, "/evil.example/", "http://here:9000//evil.example/"),
        (Redirect(prefix=""), "x", "x//evil.example", "http://here:9000///evil.example"),
    ],
)
def test_where_a_rule_sends_to(redirect, prefix, key, url):
    assert website.location(redirect, prefix, key, scheme="http", host="here:9000") == url


@given(st.none() | text, st.text(st.characters(blacklist_categories=("Cs",))))
def test_no_key_leads_to_another_host_or_out_of_the_header(prefix, key):
    for redirect in (Redirect(code="302"), Redirect(prefix=prefix or "")):
        url = website.location(redirect, None, key, scheme="http", host="here:9000")
        assert re.fullmatch("[!-~]+", url)
        assert urlsplit(url).netloc == "here:9000"


@given(
    st.text(st.characters(blacklist_categories=("Cs",))) | st.from_regex(r"[/\\.]{0,5}evil\.example", fullmatch=True)
)
def test_the_directory_of_no_key_is_on_another_host(key):
    path = website.directory_url(key)
    assert re.fullmatch("[!-~]+", path)
    assert urlsplit(urljoin("http://here/x/y", path)).netloc == "here"
    assert unquote(path, errors="strict") == f"/{key}/"


@pytest.mark.parametrize(
    ("key", "status", "found"),
    [
        ("docs/a", None, 0),
        ("docs/b/c", None, 0),
        ("doc", None, None),
        ("doc", 404, 1),
        ("docs/a", 404, 1),
        ("old/a", 403, 2),
        ("new/a", 403, 3),
        ("new/a", 405, None),
    ],
)
def test_the_first_rule_that_fits_counts(key, status, found):
    where = [Redirect(host=f"h{number}") for number in range(5)]
    site = Website(
        "index.html",
        rules=[
            Rule(where[0], "docs/"),
            Rule(where[1], None, "404"),
            Rule(where[2], "old/", "403"),
            Rule(where[3], "", "403"),
            Rule(where[4], "docs/b"),
        ],
    )
    assert site.rule_for(key, status) == (None if found is None else site.rules[found])
