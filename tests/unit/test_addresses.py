"""Which addresses stand for one client."""

import pytest

from zs3.addresses import Networks, network_of


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
def test_network_of_an_address(one, other, same):
    assert (network_of(one) == network_of(other)) is same


@pytest.mark.parametrize("host", [None, "", "/run/zs3.sock", "localhost"])
def test_what_has_no_address_has_no_network(host):
    assert network_of(host) is None


@pytest.mark.parametrize(
    "text", ["", "localhost", "192.0.2.1/24", "192.0.2.0/33", "fe80::1%eth0/64", "1", "::ffff:192.0.2.0/120"]
)
def test_what_is_no_network_is_told(text):
    with pytest.raises(ValueError, match=f"^{text}: "):
        Networks([text])


def test_an_address_is_in_a_network_of_its_own_kind():
    networks = Networks(["192.0.2.0/24", "::1"])
    assert "192.0.2.255" in networks
    assert "::ffff:192.0.2.255" in networks
    assert "::1" in networks
    assert "192.0.3.0" not in networks
    assert "::2" not in networks
    assert "nobody" not in networks
    assert "192.0.2.1" not in Networks([])
