"""TLS of our own: HTTPS with a certificate, MLLP with certificates on both sides; nobody else gets in."""

import ipaddress
import json
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from exchange.config import Settings, load_settings
from exchange.errors import Refused
from exchange.intake.tls import names_of, server_context
from tests.service_kit import WARDPOST, running_service

MESSAGE = b"MSH|^~\\&|PAS|RZZ01|W|W|20261127163000||ADT^A01^ADT_A01|T%d|T|2.4\rEVN|A01|20261127163000\r" + (
    b"PID|1||9990000018^^^NHS^NH||Testperson^Ada||19380514|F\rPV1|1|I|W6||||||||||||||||V5\r"
)


class Authority:
    """A certificate authority of the test; its files lie in a folder."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"Test authority {name}")])
        self.file = folder / f"{name}.pem"
        made = self._certificate(self.name, self.key).add_extension(x509.BasicConstraints(True, None), critical=True)
        made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        self.file.write_bytes(
            made.add_extension(usage, critical=True).sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )

    def _certificate(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
        made = made.serial_number(x509.random_serial_number())
        return made.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))

    def issue(self, name: str) -> Path:
        """One PEM file with key and certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._certificate(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]), key)
        names: list[x509.GeneralName] = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        made = made.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        certificate = made.sign(self.key, hashes.SHA256())
        file = self.folder / f"{name}.pem"
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        file.chmod(0o600)
        return file

    def client(self, shows: Path | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.file))
        if shows is not None:
            context.load_cert_chain(shows)
        return context


def test_the_whole_of_it_over_tls(tmp_path: Path) -> None:
    ours = Authority(tmp_path)
    pas, other = ours.issue("pas.test"), ours.issue("other.test")
    stranger = Authority(tmp_path, "stranger").issue("pas.test-of-a-stranger")
    environ = {"WARDPOST_TLS_CERT": str(ours.issue("wardpost.test")), "WARDPOST_MLLP_CLIENT_CA": str(ours.file)}
    profile = tmp_path / "pas.json"
    profile.write_text(json.dumps({"client_name": "pas.test"}))
    with running_service(tmp_path, ours.client(pas), **environ) as service:
        service.cli("senders", "add", "PAS", "--org", "RZZ01", "--profile", str(profile))
        service.stop()
        service.start()
        assert service.mllp(MESSAGE % 1) == ["AA"]
        assert service.http("GET", "/health")[0] == 200
        refused: list[ssl.SSLContext | None] = [ours.client(other), ours.client(None), ours.client(stranger), None]
        for context in refused:
            service.tls = context
            try:
                codes = service.mllp(MESSAGE % 2)
            except OSError:
                codes = [""]
            assert codes == [""]
        assert service.http("GET", "/health")[0] == 0
        service.tls = ours.client(pas)
        assert service.mllp(MESSAGE % 3) == ["AA"]
        assert "client_name" not in service.cli("doctor")
        assert service.cli("fsck").endswith("fsck: clean")
        assert service.log.read_text().count("mllp_certificate_of_another") == 1


def test_old_tls_is_refused(tmp_path: Path) -> None:
    context = server_context(Settings(tls_cert=Authority(tmp_path).issue("wardpost.test")))
    assert context is not None
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert server_context(Settings()) is None


@pytest.mark.parametrize("name", ["WARDPOST_TLS_CERT", "WARDPOST_TLS_KEY", "WARDPOST_MLLP_CLIENT_CA"])
def test_a_file_that_is_no_certificate_is_named(tmp_path: Path, name: str) -> None:
    ours = Authority(tmp_path)
    environ = {"WARDPOST_TLS_CERT": str(ours.issue("wardpost.test")), "WARDPOST_MLLP_CLIENT_CA": str(ours.file)}
    (tmp_path / "rubbish.pem").write_text("rubbish")
    for wrong in ("rubbish.pem", "not-there.pem"):
        with pytest.raises(Refused) as refused:
            server_context(load_settings({**environ, name: str(tmp_path / wrong)}), for_mllp=True)
        assert refused.value.code == "tls"


def test_names_of_a_certificate() -> None:
    shown = {"subject": ((("commonName", "a.test"),),), "subjectAltName": (("DNS", "b.test"), ("IP Address", "127.0.0.1"))}
    assert names_of(shown) == {"a.test", "b.test"}
    assert names_of(None) == names_of({}) == set()


def test_an_open_door_without_tls_is_refused(tmp_path: Path) -> None:
    import subprocess

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        environ = {"WARDPOST_DATA": str(tmp_path / "data"), "WARDPOST_HOST": "0.0.0.0", "WARDPOST_PORT": str(found.getsockname()[1])}
    done = subprocess.run([WARDPOST, "run"], env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "not_loopback" in done.stderr
    assert not (tmp_path / "data").exists()
