"""The additional checksums: published values, running hashers, their text."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs3 import checksums
from zs3.checksums import COMPOSITE, FULL_OBJECT, Checksum

#: of b"123456789"; the CRCs are the "check" values of the catalogue of parametrised CRC algorithms, the xxHashes what
#: the reference implementation prints
CHECK = {
    "CRC32": "cbf43926",
    "CRC32C": "e3069283",
    "CRC64NVME": "ae8b14860a799888",
    "SHA1": "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    "SHA256": "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
    "SHA512": "d9e6762dd1c8eaf6d61b3c6192fc408d4d6d5f1176d0c29169bc24e71c3f274a"
    "d27fcd5811b313d681f7e55ec02d73d499c95455b6b5bb503acf574fba8ffe85",
    "MD5": "25f9e794323b453885f5181f1b624d0b",
    "XXHASH64": "8cb841db40e6ae83",
    "XXHASH3": "72dcb18b67a17dff",
    "XXHASH128": "33119477ede5dcd5e9716427681d5860",
}


def value_of(algorithm: str, data: bytes) -> bytes:
    hasher = checksums.new(algorithm)
    hasher.update(data)
    return hasher.digest()


@pytest.mark.parametrize("algorithm", checksums.ALGORITHMS)
def test_published_value(algorithm: str) -> None:
    hasher = checksums.new(algorithm)
    hasher.update(b"123456789")
    assert hasher.digest().hex() == CHECK[algorithm]
    assert len(hasher.digest()) == checksums.ALGORITHMS[algorithm]


@given(st.sampled_from(sorted(checksums.ALGORITHMS)), st.lists(st.binary(max_size=50), max_size=5))
def test_pieces_make_the_same_value_as_the_whole(algorithm: str, pieces: list[bytes]) -> None:
    whole, running = checksums.new(algorithm), checksums.new(algorithm)
    whole.update(b"".join(pieces))
    for piece in pieces:
        running.update(memoryview(piece))
    assert running.digest() == whole.digest()


def test_unknown_algorithm_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="unsupported hash type"):
        checksums.new("CRC16")


@given(st.sampled_from(sorted(checksums.ALGORITHMS)), st.data())
def test_text_is_decoded_to_its_value(algorithm: str, data: st.DataObject) -> None:
    size = checksums.ALGORITHMS[algorithm]
    value = data.draw(st.binary(min_size=size, max_size=size))
    assert checksums.decode(algorithm, Checksum(algorithm, value).text) == value


@pytest.mark.parametrize("text", ["", "AAAA", "AAAAAA==-2", " AAAAAA==", "AAAAAA==\n", "AAA\u0660AA==", "!" * 8])
def test_text_of_another_form_is_no_value(text: str) -> None:
    assert checksums.decode("CRC32", text) is None


def test_names_and_text() -> None:
    whole = Checksum("CRC64NVME", bytes(8))
    assert (whole.kind, whole.header, whole.element) == (FULL_OBJECT, "x-amz-checksum-crc64nvme", "ChecksumCRC64NVME")
    assert whole.text == base64.b64encode(bytes(8)).decode()
    assert Checksum("SHA1", bytes(20), COMPOSITE, 3).text.endswith("=-3")
    assert Checksum("SHA1", bytes(20), COMPOSITE).text.endswith("=")  # that of a part
    assert checksums.HEADERS[whole.header] == whole.algorithm


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=5))
def test_crcs_of_the_parts_make_that_of_the_whole(parts: list[bytes]) -> None:
    for algorithm in checksums.ALGORITHMS:
        if FULL_OBJECT in checksums.types(algorithm):
            whole = value_of(algorithm, b"".join(parts))
            combined = checksums.combine(algorithm, [(value_of(algorithm, part), len(part)) for part in parts])
            assert combined == Checksum(algorithm, whole)


def test_types_of_an_object_made_of_parts() -> None:
    assert [name for name in checksums.ALGORITHMS if FULL_OBJECT in checksums.types(name)] == [
        "CRC32",
        "CRC32C",
        "CRC64NVME",
    ]
    assert [name for name in checksums.ALGORITHMS if COMPOSITE not in checksums.types(name)] == ["CRC64NVME"]
    assert [name for name in checksums.ALGORITHMS if checksums.types(name)[0] != COMPOSITE] == ["CRC64NVME"]


def test_composite_is_the_checksum_of_the_checksums() -> None:
    parts = [hashlib.sha256(b"a").digest(), hashlib.sha256(b"b").digest()]
    found = checksums.composite("SHA256", parts)
    assert found == Checksum("SHA256", hashlib.sha256(b"".join(parts)).digest(), COMPOSITE, 2)


def test_a_daemon_that_has_just_started_has_not_loaded_what_few_clients_ask_for() -> None:
    """Its memory when idle is counted."""
    program = "import sys, zs3.tap; sys.exit('_awscrt' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
