"""The elements of listings that are written by hand are those that lxml would write."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zs3.auth.access import BucketAccess
from zs3.auth.acl import FULL_CONTROL, Acl, Grant, private
from zs3.checksums import COMPOSITE, FULL_OBJECT, Checksum
from zs3.errors import S3Error
from zs3.store.values import Attributes, Deletion, ListPage, ObjectInfo, VersionsPage
from zs3.web import documents, xml
from zs3.web.dates import iso_date
from zs3.web.documents import ListRequest
from zs3.web.xml import Element

# Lone surrogates are in no key: keys are UTF-8.
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["", "&lt;", "<a>&amp;</a>", "]]>", "\r\n\t ", "a'b\"c", "\0\x08\x1f\x7f\x85\u2028", "\ufffe\U0001ffff", "é日😀"]
)
infos = st.builds(
    ObjectInfo,
    key=text,
    size=st.integers(0, 2**62),
    mtime_ns=st.integers(0, 2**62),
    etag=st.sampled_from(["d41d8cd98f00b204e9800998ecf8427e", "d41d8cd98f00b204e9800998ecf8427e-12"]),
    attributes=st.sampled_from([{}, {"x-amz-storage-class": "GLACIER"}, {"x-amz-storage-class": "<&>"}]).map(
        Attributes
    ),
    checksum=st.sampled_from(
        [None, Checksum("CRC32", b"1234", FULL_OBJECT, 0), Checksum("SHA256", b"1" * 32, COMPOSITE, 3)]
    ),
    version=st.sampled_from(["null", "0123456789abcdef" * 2]),
    is_delete_marker=st.booleans(),
)
owners = st.none() | text.map(lambda name: BucketAccess(private(name)))


def by_lxml(request: ListRequest, prefixes: list[str], shown: list[ObjectInfo], element: str) -> bytes:
    """The document as lxml writes all of it."""
    root = xml.root("ListBucketResult" if element == "Contents" else "ListVersionsResult")
    encode = request.encode
    if element == "Contents":
        root.add("Name", request.bucket)
        root.add("Prefix", encode(request.prefix))
        root.add("Marker", "")
    else:
        root.add("Name", request.bucket)
        root.add("Prefix", encode(request.prefix))
        root.add("KeyMarker", "")
        root.add("VersionIdMarker", "")
    root.add("MaxKeys", request.limit)
    root.add_if("Delimiter", encode(request.delimiter))
    root.add_if("EncodingType", request.encoding_type)
    root.add("IsTruncated", False)
    for number, info in enumerate(shown):
        if element == "Version" and info.is_delete_marker:
            add_delete_marker(root, info, request, latest=number == 0)
        else:
            add_object(root, info, request, element, latest=number == 0)
    for prefix in prefixes:
        root.add("CommonPrefixes").add("Prefix", encode(prefix))
    return root.document()


def add_delete_marker(root: Element, info: ObjectInfo, request: ListRequest, *, latest: bool) -> None:
    entry = root.add("DeleteMarker")
    entry.add("Key", request.encode(info.key))
    entry.add("VersionId", info.version)
    entry.add("IsLatest", latest)
    entry.add("LastModified", iso_date(info.mtime_ns))
    if request.access is not None:
        documents.owner_of(request.access.owner).add_to(entry)


def add_object(root: Element, info: ObjectInfo, request: ListRequest, element: str, *, latest: bool) -> None:
    entry = root.add(element)
    entry.add("Key", request.encode(info.key))
    if element == "Version":
        entry.add("VersionId", info.version)
        entry.add("IsLatest", latest)
    entry.add("LastModified", iso_date(info.mtime_ns))
    entry.add("ETag", f'"{info.etag}"')
    if info.checksum is not None:
        entry.add("ChecksumAlgorithm", info.checksum.algorithm)
        entry.add("ChecksumType", info.checksum.kind)
    entry.add("Size", info.size)
    if request.access is not None:
        documents.owner_of(request.access.owner).add_to(entry)
    entry.add("StorageClass", info.attributes.headers.get("x-amz-storage-class", "STANDARD"))


@given(
    shown=st.lists(infos, max_size=4),
    prefixes=st.lists(text, max_size=3),
    encoding=st.sampled_from(["", "url"]),
    access=owners,
    element=st.sampled_from(["Contents", "Version"]),
)
def test_a_listing_is_what_lxml_would_write(
    shown: list[ObjectInfo], prefixes: list[str], encoding: str, access: BucketAccess | None, element: str
) -> None:
    request = ListRequest("bucket", "<&\r>", "/", 7, encoding, access)
    if element == "Contents":
        page = ListPage([request.entry()(info) for info in shown], prefixes, False, "")
        document = documents.list_v1(request, page, marker="")
    else:
        show = request.version_entry()
        versions = VersionsPage([show(info, number == 0) for number, info in enumerate(shown)], prefixes, False)
        document = documents.list_versions(request, versions, key_marker="", version_marker="")
    assert document == by_lxml(request, prefixes, shown, element)


def test_the_same_request_shows_objects_by_the_same_function() -> None:
    def request(access: BucketAccess | None) -> ListRequest:
        return ListRequest("bucket", "", "", 1, "", access)

    def access() -> BucketAccess:
        return BucketAccess(Acl("a", (Grant("a", FULL_CONTROL),)))

    assert request(access()).entry() is request(access()).entry()
    assert request(access()).version_entry() is request(access()).version_entry()
    assert request(None).entry() is not request(access()).entry()


def test_a_page_of_versions_says_where_it_goes_on() -> None:
    request = ListRequest("bucket", "", "/", 1, "url")
    for version, told in (("null", "<NextVersionIdMarker>null</NextVersionIdMarker>"), ("", "")):
        page = VersionsPage([], [], True, "a b", version)
        document = documents.list_versions(request, page, key_marker="x y", version_marker="v").decode()
        assert "<KeyMarker>x%20y</KeyMarker><VersionIdMarker>v</VersionIdMarker>" in document
        assert f"<NextKeyMarker>a%20b</NextKeyMarker>{told}<MaxKeys>" in document


def test_the_result_of_deletions_tells_what_became_of_each() -> None:
    outcomes: list[tuple[str, str, Deletion | S3Error]] = [
        ("a", "", Deletion(True)),
        ("b", "", Deletion(True, "m", True)),
        ("c", "v", Deletion(True, "v")),
        ("d", "m", Deletion(True, "m", True)),
        ("e", "v", S3Error("AccessDenied", "no")),
    ]
    failed = "<Error><Key>e</Key><VersionId>v</VersionId><Code>AccessDenied</Code><Message>no</Message></Error>"
    marker = "<DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>m</DeleteMarkerVersionId>"
    done = (
        f"<Deleted><Key>a</Key></Deleted><Deleted><Key>b</Key>{marker}</Deleted>"
        f"<Deleted><Key>c</Key><VersionId>v</VersionId></Deleted>"
        f"<Deleted><Key>d</Key><VersionId>m</VersionId>{marker}</Deleted>"
    )
    for quiet in (False, True):
        document = documents.delete_result(outcomes, quiet=quiet).decode()
        assert document.endswith(f">{'' if quiet else done}{failed}</DeleteResult>")
