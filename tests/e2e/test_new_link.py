""" "Send me a new link" over real SMTP: who gets one, what a stranger sees, and servers that refuse, hang or show a wrong certificate."""

import asyncio
import os
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from email import message_from_bytes
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from starlette.testclient import TestClient

from exchange.cli.doctor import look_at
from exchange.config import Settings, load_settings
from exchange.directory.entries import add_person, deactivate_person
from exchange.errors import Refused, Unavailable
from exchange.model import PersonRole
from exchange.notices.new_link import send_new_link
from exchange.notices.smtp import SmtpMailer, mailer_of
from exchange.records import Link, Person, Sealed
from exchange.web.app import make_app
from tests.app_kit import HOME
from tests.e2e.api_kit import api
from tests.e2e.test_tls import Authority

ADDRESS = "nell.carer@home.test"


@dataclass
class Postbox:
    """What the server took; `says` is its reply to each recipient."""

    says: str = "250 OK"
    taken: list[Envelope] = field(default_factory=list)

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        if self.says.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.says

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.taken.append(envelope)
        return "250 taken"

    def texts(self) -> list[str]:
        assert all(isinstance(envelope.content, bytes) for envelope in self.taken)
        return [message_from_bytes(envelope.content or b"").get_payload(decode=True).decode() for envelope in self.taken]  # type: ignore[union-attr,arg-type]  # plain text, as sent


def knows(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword) -> AuthResult:
    return AuthResult(handled=False, success=data == LoginPassword(b"wardpost", b"a secret"))


@contextmanager
def mail_server(box: Postbox, pem: Path | None = None, *, is_tls: bool = False) -> Iterator[int]:
    """A real SMTP server on loopback; with a certificate it wants TLS (from the first byte, or by STARTTLS) and a log-in."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if pem else None
    if context:
        context.load_cert_chain(pem)  # type: ignore[arg-type]  # given when there is a context
    more: dict[str, object] = {"authenticator": knows, "auth_required": True, "auth_require_tls": not is_tls} if context else {}
    if context and not is_tls:
        more |= {"tls_context": context, "require_starttls": True}
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def listen() -> asyncio.Server:
        return await loop.create_server(lambda: SMTP(box, loop=loop, **more), "127.0.0.1", 0, ssl=context if is_tls else None)

    async def close() -> None:
        server.close()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    server = asyncio.run_coroutine_threadsafe(listen(), loop).result()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def settings_for(port: int, scheme: str = "smtp", **more: object) -> Settings:
    return load_settings({}, smtp_url=f"{scheme}://127.0.0.1:{port}", mail_from="wardpost@hospital.test", **more)


def test_a_new_link_goes_to_the_registered_address_and_a_stranger_learns_nothing(tmp_path: Path) -> None:
    box = Postbox()
    with api(tmp_path) as found, mail_server(box) as port:
        store = found.kit.exchange.store
        nell = store.write(lambda uow: add_person(uow, HOME, PersonRole.CARER, "Nell Testcarer", ADDRESS))
        gone = store.write(lambda uow: add_person(uow, HOME, PersonRole.CARER, "Gone Testcarer", "gone@home.test"))
        store.write(lambda uow: deactivate_person(uow, gone.id))
        with TestClient(make_app(found.kit.exchange, settings_for(port)), follow_redirects=False) as http:
            assert 'action="/new-link"' in http.get("/new-link").text
            assert 'href="/new-link"' in http.post("/in/spent").text
            asked = [ADDRESS.upper(), "nobody@home.test", "gone@home.test", "", "x\r\nBcc: y@z.test", "%" * 9000]
            answers = [http.post("/new-link", data={"address": address}) for address in asked]
            assert {(answer.status_code, answer.text) for answer in answers} == {(200, answers[0].text)}
            assert [envelope.rcpt_tos for envelope in box.taken] == [[ADDRESS]]
            (path,) = re.findall(r"/in/\S+", box.texts()[0])
            assert http.post(path).status_code == 303
            assert http.post(path).status_code != 303
            for _ in range(5):
                http.post("/new-link", data={"address": ADDRESS})
        assert len(box.taken) == 3
        links = store.read(lambda uow: uow.find(Link, person_id=nell.id))
        assert len(links) == 3
        assert found.kit.findings() == []
        assert "Nell" not in "".join(box.texts())


def test_without_a_mail_server_the_page_and_doctor_say_so(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        assert "sends no e-mail" in found.http.get("/new-link").text
        assert "sends no e-mail" in found.http.post("/new-link", data={"address": ADDRESS}).text
    settings = load_settings({"WARDPOST_DATA": str(tmp_path / "none")})
    assert any("No e-mail is sent" in note.words for note in look_at(settings, date(2026, 11, 27)))


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")  # the server's own
@pytest.mark.parametrize("is_tls", [True, False], ids=["tls", "starttls"])
def test_tls_and_log_in(tmp_path: Path, is_tls: bool) -> None:
    ours, box, password = Authority(tmp_path), Postbox(), tmp_path / "password"
    password.write_text("a secret\n")
    with mail_server(box, ours.issue("mail.test"), is_tls=is_tls) as port:
        url = f"{'smtps' if is_tls else 'smtp'}://wardpost@127.0.0.1:{port}"
        good = load_settings({}, smtp_url=url, mail_from="wardpost@hospital.test", smtp_password_file=password, smtp_ca_file=ours.file)
        mailer = mailer_of(good)
        assert mailer is not None
        mailer.send(ADDRESS, "Subject", "Body\n")
        assert box.texts() == ["Body\r\n"]
        password.write_text("another")
        stranger = Authority(tmp_path, "stranger").file
        for bad in (mailer_of(good), SmtpMailer("127.0.0.1", port, is_tls, "w@h.test", "wardpost", "a secret", str(stranger))):
            assert bad is not None
            with pytest.raises(Unavailable, match="mail_away"):
                bad.send(ADDRESS, "Subject", "Body")
        assert len(box.taken) == 1


@pytest.mark.parametrize(("says", "error"), [("550 no such box", Refused), ("451 later", Unavailable), ("421 closing", Unavailable)])
def test_for_good_or_for_now(says: str, error: type[Exception]) -> None:
    box = Postbox(says)
    with mail_server(box) as port, pytest.raises(error) as problem:
        SmtpMailer("127.0.0.1", port, False, "w@h.test").send(ADDRESS, "Subject", "Body")
    assert ADDRESS not in str(problem.value)
    assert box.taken == []


def test_a_server_that_hangs_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Unavailable):
        SmtpMailer("127.0.0.1", silent.getsockname()[1], False, "w@h.test", timeout=0.2).send(ADDRESS, "Subject", "Body")


@pytest.mark.parametrize("url", ["http://mail.test", "smtp://", "smtps://u:p@mail.test", "smtp://mail.test:x"])
def test_settings_that_do_not_fit(url: str) -> None:
    with pytest.raises(Refused, match="mail_setting"):
        mailer_of(load_settings({}, smtp_url=url, mail_from="w@h.test"))


def test_a_person_from_before_the_index_is_still_found_and_a_stranger_opens_no_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = list[str]()

    class Book:
        def send(self, address: str, subject: str, body: str, id: str = "") -> None:
            sent.append(address)

    with api(tmp_path) as found:
        store = found.kit.exchange.store
        old = store.read(lambda uow: uow.get(Person, found.kit.carer))
        assert old is not None
        store.write(lambda uow: uow.replace(old, registered=None))
        for _ in range(2):
            send_new_link(store, Book(), "https://x.test", " AMA@test.example ", lambda: ("secret", os.urandom(32)))
        assert sent == ["ama@test.example"] * 2
        assert store.read(lambda uow: uow.count(Person, registered=None)) == 0
        monkeypatch.setattr(Sealed, "text", lambda self: pytest.fail("a stranger's question opened an address"))
        send_new_link(store, Book(), "https://x.test", "nobody@test.example", lambda: ("secret", os.urandom(32)))
