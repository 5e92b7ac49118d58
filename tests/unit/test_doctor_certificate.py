"""What `zs3 doctor` says of certificates and their keys."""

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from tests.certificates import self_signed
from tests.doctors import told
from zs3.doctor import certificate, examination
from zs3.doctor.findings import Verdict

OK, NOTE, WARNING, PROBLEM = Verdict
NOW = datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)


def day(number):
    return NOW + datetime.timedelta(days=number)


def make(name="s3.home.lan", *, signer=None, begins=-1, ends=100, key=None, named=True):
    """(key, certificate); the signer is such a pair."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    signer_key, signer_certificate = signer or (key, None)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer_certificate.subject if signer_certificate else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(day(begins))
        .not_valid_after(day(ends))
    )
    if named:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return key, builder.sign(signer_key, hashes.SHA256())


def key_pem(key, password=None):
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def pem(*certificates):
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)


@pytest.fixture
def verdicts(tmp_path):
    """Gives what is said of a file of these bytes, by check."""

    def examine(data, key_data=None, mode=0o600):
        path, key_path = tmp_path / "server.pem", None
        path.write_bytes(data)
        path.chmod(mode)
        if key_data is not None:
            key_path = tmp_path / "key.pem"
            key_path.write_bytes(key_data)
            key_path.chmod(mode)
        found = list(certificate.examine(str(path), key_path and str(key_path), NOW))
        assert not any("PRIVATE" in each.fact for each in found)
        return {each.check.removeprefix("certificate."): told(each) for each in found}

    return examine


def test_a_certificate_that_signed_itself_is_in_order(verdicts):
    key, own = make()
    assert verdicts(pem(own) + key_pem(key)) == {"names": OK, "validity": OK, "chain": OK, "key": OK}
    assert verdicts(pem(own), key_pem(key))["key"] is OK


@pytest.mark.parametrize(
    ("begins", "ends", "verdict"),
    [(-100, -1, PROBLEM), (1, 100, PROBLEM), (-1, 3, WARNING), (-1, 20, NOTE), (-1, 60, OK)],
)
def test_how_long_it_is_valid_is_judged(verdicts, begins, ends, verdict):
    key, own = make(begins=begins, ends=ends)
    assert verdicts(pem(own) + key_pem(key))["validity"] is verdict


def test_a_certificate_without_names_is_a_problem(verdicts):
    key, own = make(named=False)
    assert verdicts(pem(own) + key_pem(key))["names"] is PROBLEM


def test_the_key_of_another_certificate_is_a_problem(verdicts):
    _, own = make()
    other, _ = make()
    assert verdicts(pem(own) + key_pem(other))["key"] is PROBLEM


def test_a_key_that_others_can_read_is_a_warning(verdicts):
    key, own = make()
    assert verdicts(pem(own) + key_pem(key), mode=0o644)["key"] is WARNING


def test_a_key_that_a_group_can_read_is_in_order(verdicts):
    key, own = make()
    assert verdicts(pem(own) + key_pem(key), mode=0o640)["key"] is OK
    assert verdicts(pem(own) + key_pem(key), mode=0o660)["key"] is WARNING


def test_no_key_is_a_problem(verdicts):
    _, own = make()
    assert verdicts(pem(own))["key"] is PROBLEM


def test_a_key_with_a_password_is_a_problem(verdicts):
    key, own = make()
    assert verdicts(pem(own) + key_pem(key, b"secret"))["key"] is PROBLEM


def test_a_damaged_key_is_a_problem(verdicts):
    key, own = make()
    assert verdicts(pem(own) + key_pem(key).replace(b"M", b"N", 3))["key"] is PROBLEM


def test_a_short_key_is_a_problem(verdicts):
    key = rsa.generate_private_key(65537, 1024)
    _, own = make(key=key)
    assert verdicts(pem(own) + key_pem(key))["key"] is PROBLEM


def test_a_chain_is_followed(verdicts):
    root = make("root")
    middle = make("middle", signer=root)
    key, own = make(signer=middle)
    assert verdicts(pem(own, middle[1]) + key_pem(key))["chain"] is OK
    assert verdicts(pem(own, middle[1], root[1]) + key_pem(key))["chain"] is OK
    assert verdicts(pem(own, root[1]) + key_pem(key))["chain"] is PROBLEM
    assert verdicts(pem(own) + key_pem(key))["chain"] is NOTE


def test_a_chain_with_one_that_has_ended_is_a_problem(verdicts):
    middle = make("middle", signer=make("root"), ends=-1, begins=-100)
    key, own = make(signer=middle)
    assert verdicts(pem(own, middle[1]) + key_pem(key))["chain"] is PROBLEM


@pytest.mark.parametrize("data", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_a_problem(verdicts, data):
    assert verdicts(data) == {"file": PROBLEM}


def test_a_file_that_is_not_there_is_a_problem(tmp_path):
    (found,) = certificate.examine(str(tmp_path / "missing.pem"), None)
    assert told(found) is PROBLEM
    assert "No such file" in found.fact


def test_each_file_of_a_directory_is_looked_at(tmp_path):
    (empty,) = certificate.examine(str(tmp_path), None, NOW)
    assert told(empty) is PROBLEM
    for name in ("a.example", "b.example"):
        key, own = make(name)
        (tmp_path / f"{name}.pem").write_bytes(key_pem(key) + pem(own))
        (tmp_path / f"{name}.pem").chmod(0o600)
    found = [each for each in certificate.examine(str(tmp_path), None, NOW) if each.check == "certificate.names"]
    assert [each.values["names"] for each in found] == [["a.example"], ["b.example"]]


@pytest.fixture
def live(tmp_path):
    """A directory as certbot has it, and its files: of links to key, certificate and intermediate one."""
    middle = make("middle", signer=make("root"))
    key, own = make(signer=middle)
    live, archive = tmp_path / "live", tmp_path / "archive"
    (live / "s3.home.lan").mkdir(parents=True)
    archive.mkdir()
    files = {}
    pieces = {"privkey": key_pem(key), "cert": pem(own), "chain": pem(middle[1]), "fullchain": pem(own, middle[1])}
    for name, data in pieces.items():
        files[name] = live / "s3.home.lan" / f"{name}.pem"
        (archive / f"{name}1.pem").write_bytes(data)
        (archive / f"{name}1.pem").chmod(0o600)
        files[name].symlink_to(archive / f"{name}1.pem")
    return live, files


def test_a_key_and_a_chain_may_be_in_other_files_of_a_directory(live):
    directory, files = live
    found = list(certificate.examine(str(directory), None, NOW))
    assert [(each.check, told(each)) for each in found] == 2 * [
        ("certificate.names", OK),
        ("certificate.validity", OK),
        ("certificate.chain", OK),
        ("certificate.key", OK),
    ]
    assert {each.values["file"] for each in found if each.check == "certificate.names"} == {
        str(files["cert"]),
        str(files["fullchain"]),
    }


def test_what_the_daemon_passes_over_in_a_directory_is_not_told(live):
    directory, _ = live
    before = len(list(certificate.examine(str(directory), None, NOW)))
    (directory / ".half.pem").write_bytes(b"-----BEGIN CERTIFICATE-----")
    root = x509.BasicConstraints(ca=True, path_length=None)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root")])
    authority = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    )
    authority = authority.not_valid_before(day(-1)).not_valid_after(day(9)).add_extension(root, critical=True)
    (directory / "root.pem").write_bytes(pem(authority.sign(key, hashes.SHA256())))
    assert len(list(certificate.examine(str(directory), None, NOW))) == before


def test_a_key_or_a_certificate_alone_in_a_directory_is_a_problem(live):
    directory, files = live
    files["privkey"].unlink()
    found = list(certificate.examine(str(directory), None, NOW))
    assert {(each.check, told(each)) for each in found} == {("certificate.key", PROBLEM)}
    assert len(found) == 2
    other, _ = make()
    files["privkey"].write_bytes(key_pem(other))
    found = [told(each) for each in certificate.examine(str(directory), None, NOW) if each.check == "certificate.file"]
    assert found == [PROBLEM]


def test_a_broken_file_does_not_hide_the_others_of_a_directory(live):
    directory, _ = live
    (directory / "broken.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    found = list(certificate.examine(str(directory), None, NOW))
    assert [told(each) for each in found] == [PROBLEM, *8 * [OK]]


def test_the_one_in_the_data_directory_is_looked_at_by_itself(data):
    (found,) = examination._certificate(str(data), None, None)
    assert told(found) is OK
    (data / ".zs3/tls").mkdir(parents=True)
    path = data / ".zs3/tls/server.pem"
    path.write_bytes(b"".join(self_signed()))
    path.chmod(0o600)
    found = list(examination._certificate(str(data), None, None))
    assert [told(each) for each in found if each.check == "certificate.names"] == [OK]
