"""Deliveries over real connections: signed, tried again, given up, never into this network."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import email
import hashlib
import hmac
import http.server
import json
import socketserver
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from homeostat.foundation import clock, errors, events
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.alerting import letters, posting

KEY = base64.b64encode(b"k" * 24).decode()
DAY = 86_400
DOCUMENT = Path(__file__).parents[4] / "docs" / "alerts.md"


class Receiver(http.server.ThreadingHTTPServer):
    """A receiver of webhooks; answers with `statuses` in turn, then with 204."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Hook)
        self.statuses = []
        self.taken = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/hook?x=1"


class _Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        size = int(self.headers["content-length"])
        self.server.taken.append((self.path, dict(self.headers), self.rfile.read(size)))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 204)
        self.send_header("Location", self.server.url)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class MailServer(socketserver.ThreadingTCPServer):
    """As much of SMTP as a sender needs."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Smtp)
        self.letters = []


class _Smtp(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"220 here\r\n")
        for line in self.rfile:
            word = line[:4].upper().strip()
            if word == b"RCPT" and b"nobody@" in line:
                self.wfile.write(b"550 no such user\r\n")
                continue
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                letter = b"".join(iter(self.rfile.readline, b".\r\n"))
                self.server.letters.append(email.message_from_bytes(letter))
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")
            if word == b"QUIT":
                return


@pytest.fixture
def serving():
    """Run a server in a thread."""
    running = []

    def start(server):
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        running.append((server, thread))
        return server

    yield start
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def receiver(serving):
    return serving(Receiver())


def _policy(url):
    return f'webhooks.ops = "{url}"\ntell = ["ops"]\n'


def test_a_webhook_is_a_signed_cloud_event_with_an_id_that_stays(watch, receiver):
    receiver.statuses = [503, 301]
    watch = watch(alert_secrets=f"ops=whsec_{KEY}", allow_private_webhooks=True)
    watch.deploy(policy=_policy(receiver.url))
    alert = watch.say()
    for _ in range(3):
        watch.work(later_s=60)
    (delivery,) = watch.deliveries()
    assert (delivery.state, delivery.attempts) == ("sent", 3)
    assert len({body for *_, body in receiver.taken}) == 1
    path, headers, body = receiver.taken[-1]
    assert path == "/hook?x=1"
    told = json.loads(body)
    assert (told["specversion"], told["id"], told["type"]) == (
        "1.0",
        delivery.id,
        "homeostat.alert.confirmed",
    )
    assert told["data"]["alerts"][0]["id"] == alert.id
    assert headers["content-type"].startswith("application/cloudevents+json")
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = hmac.new(base64.b64decode(KEY), signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(expected).decode()}"
    kinds = [one.kind for one in watch.house.read(events.read)]
    assert kinds.count("delivery.sent") == 1


def test_a_receiver_that_never_answers_is_given_up_after_a_day(watch, receiver):
    receiver.statuses = [500] * 99
    watch = watch(alert_secrets=f"ops={'s' * 24}", allow_private_webhooks=True)
    watch.deploy(policy=_policy(receiver.url))
    watch.say()
    watch.work(later_s=60)
    watch.work(later_s=DAY)
    (delivery,) = watch.deliveries()
    assert (delivery.state, delivery.last_error) == ("given-up", "the receiver answered 500")
    told = watch.house.read(lambda tx: events.read(tx, kinds=("delivery.given_up",)))
    assert told[0].facts["attempts"] == delivery.attempts > 1
    watch.work(later_s=DAY)
    assert len(receiver.taken) == delivery.attempts


def test_slack_and_e_mail_say_the_same(watch, receiver, serving):
    mail = serving(MailServer())
    watch = watch(
        alert_secrets=f"team={receiver.url}",
        allow_private_webhooks=True,
        smtp_host="127.0.0.1",
        smtp_port=mail.server_address[1],
        smtp_security="off",
    )
    named = 'slack = ["team"]\nemail.ada = ["ada@example.org"]\ntell = ["team", "ada"]\n'
    watch.deploy(policy=named)
    alert = watch.say()
    watch.work(later_s=1)
    told = json.loads(receiver.taken[0][2])
    assert told["text"] == "[ALERT] credit: harm (cause: concept-change)"
    assert "harm &lt;of credit&gt;" in told["blocks"][0]["text"]["text"]
    (letter,) = mail.letters
    assert (letter["Subject"], letter["To"]) == (told["text"], "ada@example.org")
    assert alert.id in letter.get_payload()
    watch.say("volume", cause="unknown")
    watch.work(later_s=1)
    assert mail.letters[-1]["Subject"] == "[ALERT] credit: volume"
    assert {one.state for one in watch.deliveries()} == {"sent"}


def test_who_is_refused_by_the_mail_server_is_named_and_the_others_are_told_once(
    watch, serving
):
    mail = serving(MailServer())
    told = {"smtp_port": mail.server_address[1], "smtp_security": "off"}
    watch = watch(smtp_host="127.0.0.1", **told)
    watch.deploy(
        policy='email.ada = ["ada@b", "nobody@b"]\nemail.bob = ["nobody@c"]\n'
        'tell = ["ada", "bob"]\n'
    )
    watch.say()
    watch.work(later_s=60)
    bob, ada = watch.deliveries()
    assert (ada.state, ada.last_error) == ("sent", "the mail server refused nobody@b (550)")
    assert (bob.state, bob.last_error) == ("given-up", "the mail server refused nobody@c (550)")
    assert len(mail.letters) == 1


def test_what_trickles_in_is_cut_off(serving, monkeypatch):
    class Slow(socketserver.StreamRequestHandler):
        def handle(self):
            self.request.settimeout(60)
            with contextlib.suppress(OSError):
                while self.request.recv(1024):
                    self.wfile.write(b"HTTP/1.1 2")

    monkeypatch.setattr(posting, "WHOLE_S", 0.2)
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Slow)
    server.daemon_threads = True
    url = f"http://127.0.0.1:{serving(server).server_address[1]}/secret"
    outcome = posting.post(url, b"{}", {}, allow_private=True)
    assert outcome == posting.Outcome("no whole answer within 0.2 s")


def test_an_address_that_cannot_be_asked_for_is_not_repeated(receiver):
    outcome = posting.post(f"{receiver.url}/secret x", b"", {}, allow_private=True)
    assert outcome.is_final
    assert "secret" not in outcome.error


@pytest.fixture
def certificate(tmp_path):
    """Return the file of a certificate for this machine, with its key, that nobody trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    day = dt.timedelta(days=1)
    now = dt.datetime.fromtimestamp(clock.now_ms() / 1000, tz=dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path / "certificate.pem"
    path.write_bytes(made.public_bytes(pem) + secret)
    return path


def test_only_a_receiver_with_a_trusted_certificate_is_told(serving, certificate, monkeypatch):
    server = Receiver()
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trust.load_cert_chain(certificate)
    server.socket = trust.wrap_socket(server.socket, server_side=True)
    url = f"https://localhost:{serving(server).server_port}/x"
    refused = posting.post(url, b"{}", {}, allow_private=True)
    assert refused.error.startswith("SSLCertVerificationError")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert posting.post(url, b"{}", {}, allow_private=True) == posting.Outcome()
    other = url.replace("localhost", "127.0.0.1")
    assert "IP address mismatch" in posting.post(other, b"", {}, allow_private=True).error
    assert [body for *_, body in server.taken] == [b"{}"]


def test_the_example_of_the_documentation_is_a_policy():
    text = DOCUMENT.read_text(encoding="utf-8")
    example = text.partition("```toml\n")[2].partition("```")[0]
    found = policies.parse('[model]\nname = "credit"\ntarget = "t"\n' + example).alerts
    assert (found.tell, found.escalate) == (("ops", "team"), ("lead",))
    assert found.span_ms("no_data_after") == 6 * 3_600_000


@pytest.mark.parametrize(
    ("url", "settings", "sentence"),
    [
        ("http://127.0.0.1:9/x", {}, "https, not http"),
        ("https://127.0.0.1:9/x", {}, "127.0.0.1, an address that is not public"),
        ("https://localhost:9/x", {}, "localhost is"),
        ("https://[::ffff:169.254.169.254]/x", {}, "not public"),
        ("https://8.8.8.8/x", {"alert_secrets": ""}, "alert_secrets does not say"),
        ("https://8.8.8.8/x", {"alert_secrets": "ops=short"}, "needs 24 bytes"),
    ],
)
def test_what_must_not_be_sent_is_given_up_with_a_sentence(watch, url, settings, sentence):
    watch = watch(**{"alert_secrets": f"ops={'s' * 24}", **settings})
    watch.deploy(policy=_policy(url))
    watch.say()
    watch.work(later_s=1)
    (delivery,) = watch.deliveries()
    assert (delivery.state, delivery.attempts) == ("given-up", 1)
    assert sentence in delivery.last_error


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "100.64.0.1", "192.168.1.1", "224.0.0.1", "fe80::1%eth0", "fc00::1"),
        *("::1", "64:ff9b::a00:1", "2002:a00:1::", "no address"),
    ],
)
def test_addresses_that_are_not_the_internets_are_known(address):
    assert not posting.is_public(address)
    assert posting.is_public("2606:4700::1111")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('tell = ["nobody"]', "nobody is named 'nobody'"),
        ('webhooks.a = "ftp://x"', "needs an address of the web"),
        ('webhooks.a = "https://"', "needs an address of the web"),
        ('webhooks.a = "https://x:99999/"', "needs an address of the web"),
        ('webhooks.a = "https://me:secret@x/"', "without user and password"),
        ('[slices]\na = ""', "a needs some text"),
        ('[objectives.o]\nof = "fairness"\ntarget = 0.9\ncolumn = "x"', "not protected"),
        ('email.a = ["a b@c"]', "needs addresses"),
        ('slack = ["a"]\nemail.a = ["a@b"]', "names two receivers"),
        ('upstream = ["features"]', "needs kind and name"),
        ('group = "5 rows"', "group needs a time"),
        ("confirm_after = 0", "needs a number from 1 to 100"),
        ("confirm = 2", "did you mean"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(text, sentence):
    head = '[model]\nname = "credit"\ntarget = "t"\n[alerts]\n'
    with pytest.raises(errors.InvalidInputError, match=sentence):
        policies.parse(head + text)


def test_a_secret_of_no_base64_is_refused():
    with pytest.raises(ValueError, match="not base64"):
        letters.signed("x", b"", secret="whsec_!", at_s=0)
