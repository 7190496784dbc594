"""An issuer: its keys, tokens that are signed with them, and the server that publishes them."""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

ISSUER: Final = "https://issuer.example/"
AUDIENCE: Final = "todoservice"
SECRET: Final = "a secret that both sides know, and that is as long as its hash: 64 bytes"


@dataclass(frozen=True)
class Signer:
    """A key of the issuer's, its name, and the algorithm that it signs by."""

    algorithm: str
    key: Any
    kid: str | None = "one"

    def token(self, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """Return a token: a right one, but for these headers and claims. A claim that is None is left out."""
        now = int(time.time())
        given = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 60} | claims
        named = ({} if self.kid is None else {"kid": self.kid}) | (headers or {})
        payload = {name: value for name, value in given.items() if value is not None}
        return self.signed({"typ": "JWT", "alg": self.algorithm} | named, payload)

    def signed(self, header: Any, payload: Any) -> str:
        """Return what this key signs, whatever it says."""
        algorithm = jwt.get_algorithm_by_name(self.algorithm)
        text = f"{encoded(header)}.{encoded(payload)}"
        return f"{text}.{_base64(algorithm.sign(text.encode(), algorithm.prepare_key(self.key)))}"

    def jwk(self, **members: Any) -> dict[str, Any]:
        """Return the public key as it is published."""
        made = jwt.get_algorithm_by_name(self.algorithm).to_jwk(self.key.public_key(), as_dict=True)
        return made | ({} if self.kid is None else {"kid": self.kid}) | {"use": "sig", "alg": self.algorithm} | members

    def pem(self) -> str:
        """Return the public key as a file has it."""
        return str(self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())

    def private_pem(self) -> str:
        """Return what only the issuer should have."""
        return str(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def encoded(value: Any) -> str:
    """Return a part of a token: bytes as they are, anything else as JSON."""
    return _base64(value if isinstance(value, bytes) else json.dumps(value).encode())


def _base64(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


RSA: Final = Signer("RS256", rsa.generate_private_key(65537, 2048))
"""The one whose key the issuer publishes."""
STRANGER: Final = Signer("RS256", rsa.generate_private_key(65537, 2048))
"""One who gives his key the same name."""
NEXT: Final = Signer("RS256", rsa.generate_private_key(65537, 2048), "two")
"""What the issuer signs with after a rotation."""
P256: Final = Signer("ES256", ec.generate_private_key(ec.SECP256R1()))
P384: Final = Signer("ES384", ec.generate_private_key(ec.SECP384R1()))
ED25519: Final = Signer("EdDSA", ed25519.Ed25519PrivateKey.generate())


@dataclass
class Publisher:
    """Serves the keys, counts who asks, and fails as it is told to."""

    url: str = ""
    keys: list[Any] = field(default_factory=lambda: [RSA.jwk()])
    asked: int = 0
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """What it answers in place of the keys."""
    go: Event = field(default_factory=Event)
    """It answers while this is set."""

    @contextmanager
    def listening(self, port: int = 0) -> Iterator["Publisher"]:
        """Listen on this port of the loopback, or on a free one."""
        publisher = self
        self.go.set()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.asked += 1
                publisher.go.wait(30)
                body = json.dumps({"keys": publisher.keys}).encode() if publisher.body is None else publisher.body
                self.send_response(publisher.status)
                for name, value in ({"Content-Length": str(len(body))} | publisher.headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                """Say nothing of a client that has left."""

        with Server(("127.0.0.1", port), Handler) as server:
            self.url = f"http://127.0.0.1:{server.server_port}/keys"
            thread = Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            try:
                yield self
            finally:
                self.go.set()
                server.shutdown()
                thread.join()
