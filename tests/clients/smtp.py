"""A mail server that is not ours (aiosmtpd), which keeps what arrives and can be told to fail.

    smtp.py FOLDER PORT starttls|tls|none [CERTIFICATE KEY USER PASSWORD]

Prints the port that it listens on. Each mail that it has taken is FOLDER/<number>.eml, and what Python's own mail parser
sees in it is FOLDER/<number>.json. FOLDER/plan holds one word for each mail to come, taken from the front:

    take    taken and answered (also when there is no plan)
    refuse  not taken: 550 at the recipient
    later   not taken: 451 after the mail
    lost    taken, and the connection is cut instead of an answer
    hang    taken, and never answered
"""

import asyncio
import base64
import email
import email.policy
import json
import os
import pathlib
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


def parsed(content):
    message = email.message_from_bytes(content, policy=email.policy.default)

    def shape(part):
        if part.is_multipart():
            return [part.get_content_type(), [shape(child) for child in part.iter_parts()]]
        return part.get_content_type()

    def body(kind):
        part = message.get_body(preferencelist=(kind,))
        return part.get_content() if part is not None else None

    attachments = [
        {
            "name": part.get_filename(),
            "type": part.get_content_type(),
            "base64": base64.b64encode(part.get_content()).decode(),
        }
        for part in message.iter_attachments()
    ]
    return {
        "headers": {name.lower(): str(value) for name, value in message.items()},
        "defects": [repr(defect) for part in message.walk() for defect in part.defects],
        "longest_line": max(len(line) for line in content.split(b"\r\n")),
        "shape": shape(message),
        "text": body("plain"),
        "html": body("html"),
        "attachments": attachments,
    }


class Handler:
    def __init__(self, folder):
        self.folder = folder
        self.word = "take"

    def next_word(self):
        plan = self.folder / "plan"
        words = plan.read_text().split() if plan.exists() else []
        if not words:
            return "take"
        plan.write_text(" ".join(words[1:]))
        return words[0]

    async def handle_RCPT(self, server, session, envelope, address, options):
        self.word = self.next_word()
        if self.word == "refuse":
            return "550 5.1.1 no such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if self.word == "later":
            return "451 4.7.1 greylisted, try again later"
        self.keep(server, session, envelope)
        if self.word == "lost":
            server.transport.abort()
            return "250 OK"
        if self.word == "hang":
            await asyncio.sleep(3600)
        return "250 OK"

    def keep(self, server, session, envelope):
        encrypted = server.transport.get_extra_info("ssl_object") is not None
        number = len(list(self.folder.glob("*.eml")))
        (self.folder / f"{number}.eml").write_bytes(envelope.content)
        seen = parsed(envelope.content)
        seen["from"] = envelope.mail_from
        seen["to"] = envelope.rcpt_tos
        seen["encrypted"] = encrypted
        seen["authenticated"] = bool(session.authenticated)
        draft = self.folder / f"{number}.draft"
        draft.write_text(json.dumps(seen))
        # Whoever waits for the file finds all of it.
        os.replace(draft, self.folder / f"{number}.json")


async def main():
    folder, port, mode = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    handler = Handler(folder)
    settings, listener_tls = {"hostname": "mail.test", "enable_SMTPUTF8": False}, None
    if mode != "none":
        certificate, key, user, password = sys.argv[4:8]
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)

        def authenticate(server, session, envelope, mechanism, data):
            good = (data.login, data.password) == (user.encode(), password.encode())
            return AuthResult(success=good)

        settings.update(authenticator=authenticate, auth_required=True)
        if mode == "starttls":
            settings.update(tls_context=context, require_starttls=True)
        else:
            settings.update(auth_require_tls=False)
            listener_tls = context
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(handler, **settings), "127.0.0.1", port, ssl=listener_tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
