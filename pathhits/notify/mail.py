"""E-mails: composed so that nobody can slip a header in, sent over SMTP with TLS, or added to a file."""

from __future__ import annotations

import fcntl
import smtplib
import ssl
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from pathhits.errors import NotificationFailed
from pathhits.notify.messages import News
from pathhits.settings import Settings

#: Who an e-mail is to when it only goes to a file, and nobody is named.
NOBODY = "developer@localhost"


def compose(settings: Settings, to: str, news: News) -> EmailMessage:
    """The e-mail to one recipient. Its Message-ID follows from event and recipient, so that a second copy is known.

    Raises ValueError for a subject or an address with a line break, or anything else that is not printable.
    """
    subject = f"[{settings.namespace}] {news.subject()}"
    for text in (subject, to, settings.notify_from, news.id):
        if not text.isprintable():
            raise ValueError("a header of an e-mail is one line of printable text")
    mail = EmailMessage(policy=SMTP)
    mail["From"] = settings.notify_from
    mail["To"] = to
    mail["Subject"] = subject
    mail["Date"] = format_datetime(news.moment)
    mail["Message-ID"] = f"<{news.id}.{settings.namespace}@{settings.notify_from.rpartition('@')[2]}>"
    # No robot answers it, and no out-of-office does.
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(news.text())
    return mail


def send(settings: Settings, to: str, news: News) -> None:
    """Hand the e-mail to the SMTP server; raises `NotificationFailed` when it does not take it."""
    mail = compose(settings, to, news)
    try:
        with _connect(settings) as client:
            if settings.notify_smtp_user:
                client.login(settings.notify_smtp_user, settings.notify_smtp_password)
            client.send_message(mail, settings.notify_from, [to])
    except (smtplib.SMTPException, OSError) as error:
        where = f"{settings.notify_smtp_host}:{settings.notify_smtp_port}"
        raise NotificationFailed(f"{where} did not take an e-mail: {_why(error)}") from None


def write(settings: Settings, to: str, news: News) -> None:
    """Add the e-mail to `Settings.notify_file`, as it would have been sent; raises `NotificationFailed`."""
    mail = compose(settings, to, news)
    try:
        with open(settings.notify_file, "a", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # two workers do not write into each other's
            file.write(f"{mail.as_string(policy=mail.policy.clone(linesep=chr(10)))}\n{'-' * 72}\n")
    except OSError as error:
        raise NotificationFailed(f"NOTIFY_FILE={settings.notify_file} cannot be written to: {error.strerror}") from None


def _connect(settings: Settings) -> smtplib.SMTP:
    host, port, timeout = settings.notify_smtp_host, settings.notify_smtp_port, settings.notify_timeout
    if settings.notify_smtp_security == "ssl":
        return smtplib.SMTP_SSL(host, port, timeout=timeout, context=ssl.create_default_context())
    client = smtplib.SMTP(host, port, timeout=timeout)
    if settings.notify_smtp_security == "starttls":
        try:
            client.starttls(context=ssl.create_default_context())
        except BaseException:
            client.close()
            raise
    return client


def _why(error: Exception) -> str:
    """What the server said, without what was said to it: an answer may repeat an address, never the password."""
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error
        shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        return f"{error.smtp_code} {' '.join(shown.split())[:200]}"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "; ".join(f"{code} {said.decode('utf-8', 'replace')[:200]}" for code, said in error.recipients.values())
    return f"{type(error).__name__}: {error}"
