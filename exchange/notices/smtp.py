"""Implements ports.Mailer over SMTP: TLS from the first byte or by STARTTLS, verified; in the clear on this machine alone."""

import smtplib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from urllib.parse import unquote, urlsplit

from exchange.config import LOOPBACK, Settings
from exchange.errors import Refused, Unavailable

_TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class SmtpMailer:
    """One mail server. `ca_file`: PEM of the authority that vouches for it, "" is the system's."""

    host: str
    port: int
    is_tls: bool
    sender: str
    user: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""
    timeout: float = _TIMEOUT_SECONDS

    def send(self, address: str, subject: str, body: str, id: str = "") -> None:
        """Hand one plain text over. Raises Refused `mail_refused` (for good: another try gives the same), Unavailable `mail_away`."""
        message = EmailMessage(policy=SMTP)
        try:
            message["From"], message["To"], message["Subject"] = self.sender, address, subject
            message["Auto-Submitted"] = "auto-generated"
            if id:
                message["Message-ID"] = f"<{id}@{self.sender.rpartition('@')[2].rstrip('>')}>"
            message.set_content(body)
            with self._connect() as server:
                if self.user:
                    server.login(self.user, self.password)
                server.send_message(message)
        except smtplib.SMTPRecipientsRefused as problem:
            raise _of(next(iter(problem.recipients.values()))[0]) from None
        except smtplib.SMTPAuthenticationError:
            raise _away() from None  # ours to mend: the address is not to blame
        except smtplib.SMTPResponseException as problem:
            raise _of(problem.smtp_code) from None
        except (OSError, smtplib.SMTPException):
            raise _away() from None
        except ValueError:
            raise _of(553) from None  # an address that no header can carry

    def _connect(self) -> smtplib.SMTP:
        context = ssl.create_default_context(cafile=self.ca_file or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.is_tls:
            return smtplib.SMTP_SSL(self.host, self.port, timeout=self.timeout, context=context)
        server = smtplib.SMTP(self.host, self.port, timeout=self.timeout)
        try:
            server.ehlo()
            if self.host not in LOOPBACK or server.has_extn("starttls"):
                server.starttls(context=context)
        except BaseException:
            server.close()
            raise
        return server


def mailer_of(settings: Settings) -> SmtpMailer | None:
    """The mail server of these settings; None when none is named. Raises Refused `mail_setting`."""
    if not settings.smtp_url:
        return None
    url = urlsplit(settings.smtp_url)
    try:
        port = url.port
        password = settings.smtp_password_file.read_text().strip() if settings.smtp_password_file else ""
    except (OSError, ValueError):
        port, password = -1, ""
    if url.scheme not in ("smtp", "smtps") or not url.hostname or port == -1 or url.password or "@" not in settings.mail_from:
        step = "Set WARDPOST_SMTP_URL=smtps://USER@HOST, the password by WARDPOST_SMTP_PASSWORD_FILE, and WARDPOST_MAIL_FROM."
        raise Refused("mail_setting", "The settings for e-mail do not fit.", next_step=step)
    is_tls = url.scheme == "smtps"
    ca_file = str(settings.smtp_ca_file or "")
    return SmtpMailer(
        url.hostname, port or (465 if is_tls else 587), is_tls, settings.mail_from, unquote(url.username or ""), password, ca_file
    )


def _of(reply: int) -> Refused | Unavailable:
    if 500 <= reply < 600:
        return Refused(
            "mail_refused", "The mail server refuses this address or letter.", next_step="Check the person's registered address."
        )
    return _away()


def _away() -> Unavailable:
    return Unavailable("mail_away", "The mail server did not take the e-mail.", next_step="Look at WARDPOST_SMTP_URL and the mail server.")
