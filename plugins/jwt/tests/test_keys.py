"""Where keys come from: a set that the issuer publishes and changes, or the settings."""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi.testclient import TestClient
from issuing import AUDIENCE, ED25519, ISSUER, NEXT, P256, P384, RSA, SECRET, STRANGER, Publisher, Signer
from todoservice_jwt import keys
from todoservice_jwt.keys import COOL_DOWN, FRESH, KEPT, LARGEST, STALE, KeySet

from todoservice import ServiceUnavailable

TODOS = "/api/v1/todos"
WEAK = Signer("RS256", rsa.generate_private_key(65537, 1024))  # noqa: S505 - it is to be left out


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        """Begin anywhere."""
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def answered(client: TestClient, signer: Signer, user: UUID) -> int:
    """Ask as the user with this signer's token: return the status."""
    headers = {"Authorization": f"Bearer {signer.token(sub=str(user))}"}
    return client.get(TODOS, headers=headers).status_code


def test_keys_are_not_asked_for_before_a_token_comes(
    todoservice_anonymous_client: TestClient, todoservice_user: UUID, publisher: Publisher
) -> None:
    """And once for many."""
    assert todoservice_anonymous_client.get("/readyz").status_code == 200
    assert todoservice_anonymous_client.get(TODOS).status_code == 401
    assert publisher.asked == 0
    for _ in range(5):
        assert answered(todoservice_anonymous_client, RSA, todoservice_user) == 200
    assert publisher.asked == 1


def test_without_keys_the_service_is_unavailable(
    todoservice_anonymous_client: TestClient,
    todoservice_user: UUID,
    publisher: Publisher,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """503 and not 401, which would send users to log in again; the log names the URL and why, once."""
    publisher.status = 500
    headers = {"Authorization": f"Bearer {RSA.token(sub=str(todoservice_user))}"}
    for _ in range(3):
        answer = todoservice_anonymous_client.get(TODOS, headers=headers)
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["retry-after"]
        assert answer.json()["detail"].startswith("The keys that tokens are verified with cannot be had at the moment")
    told = [record for record in caplog.records if record.name == "todoservice.jwt"]
    assert [(record.levelno, record.getMessage(), record.exc_info) for record in told] == [
        (logging.WARNING, f"The keys at {publisher.url} cannot be had: the answer is 500", None)
    ]


def test_a_key_that_is_not_there_yet_is_looked_for(publisher: Publisher) -> None:
    """The issuer begins to sign with a new key: the first token that names it makes the set be asked for again."""

    async def rotate() -> None:
        clock = Clock()
        found = KeySet(publisher.url, "RS256", clock)
        assert await found.find("one")
        publisher.keys = [RSA.jwk(), NEXT.jwk()]
        clock.now += COOL_DOWN + 1
        assert await found.find("two")
        assert publisher.asked == 2
        publisher.keys = [NEXT.jwk()]
        clock.now += STALE + 1
        assert await found.find("one") is None  # a key that the issuer no longer has is no longer a key
        assert publisher.asked == 3

    asyncio.run(rotate())


def test_names_that_are_made_up_do_not_make_requests(publisher: Publisher) -> None:
    """One for all of them, and then none before the issuer has cooled down."""

    async def flood() -> None:
        clock = Clock()
        found = KeySet(publisher.url, "RS256", clock)
        assert await found.find("one")
        clock.now += COOL_DOWN + 1
        assert set(await asyncio.gather(*(found.find(f"made up {n}") for n in range(200)))) == {None}
        assert set(await asyncio.gather(*(found.find(f"made up {n}") for n in range(200)))) == {None}
        assert publisher.asked == 2

    asyncio.run(flood())


def test_fifty_at_once_make_one_request(publisher: Publisher) -> None:
    """All of them wait for it; one that leaves takes it from nobody."""

    async def meet() -> None:
        found = KeySet(publisher.url, "RS256")
        publisher.go.clear()
        waiting = [asyncio.create_task(found.find("one")) for _ in range(50)]
        await asyncio.sleep(0.1)
        waiting.pop(0).cancel()
        publisher.go.set()
        assert all(await asyncio.gather(*waiting))
        assert publisher.asked == 1

    asyncio.run(meet())


def test_nobody_waits_for_an_issuer_that_is_slow(publisher: Publisher) -> None:
    """Once the keys are there: they are asked for again while tokens are verified with the ones that there are."""

    async def age() -> None:
        clock = Clock()
        found = KeySet(publisher.url, "RS256", clock)
        assert await found.find("one")
        clock.now += FRESH + 1
        publisher.keys = [NEXT.jwk()]
        publisher.go.clear()
        async with asyncio.timeout(4):
            while publisher.asked < 2:
                assert await found.find("one")
                await asyncio.sleep(0.01)
            assert all([await found.find("one") for _ in range(10)])
            publisher.go.set()
            while await found.find("one"):  # noqa: ASYNC110 - that is what it tells
                await asyncio.sleep(0.01)
        assert publisher.asked == 2

    asyncio.run(age())


def test_an_issuer_that_cannot_be_reached_is_done_without_for_a_day(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only who finds it out waits; after a day nothing says any more that the keys are still the issuer's."""
    monkeypatch.setattr(keys, "TIMEOUT", 1)

    async def outlast() -> None:
        clock = Clock()
        found = KeySet(publisher.url, "RS256", clock)
        assert await found.find("one")
        publisher.go.clear()
        clock.now += STALE + 1
        before = time.monotonic()
        assert await found.find("one")
        assert time.monotonic() - before > 0.9
        clock.now += COOL_DOWN + 1
        before = time.monotonic()
        assert await found.find("one")
        assert time.monotonic() - before < 0.9
        clock.now += KEPT
        with pytest.raises(ServiceUnavailable):
            await found.find("one")
        publisher.go.set()
        clock.now += COOL_DOWN + 1
        assert await found.find("one")

    asyncio.run(outlast())


def test_a_token_that_names_no_key_has_the_only_one(publisher: Publisher) -> None:
    """And none where there are two: it is not tried with one after the other."""

    async def ask() -> None:
        assert await KeySet(publisher.url, "RS256").find(None)
        publisher.keys = [RSA.jwk(), NEXT.jwk()]
        assert await KeySet(publisher.url, "RS256").find(None) is None

    asyncio.run(ask())


def test_a_key_that_is_for_something_else_is_none(publisher: Publisher, caplog: pytest.LogCaptureFixture) -> None:
    """By its use, operations, algorithm or kind, or private, or broken; the others are found all the same."""
    secret = {"kty": "oct", "k": "c2VjcmV0IHRoYXQgaXMgcHVibGlzaGVkIGZvciBhbGw", "kid": "one"}
    wrong: list[Any] = [
        *(
            STRANGER.jwk(**members)
            for members in (
                {"use": "enc"}, {"alg": "RS512"}, {"key_ops": ["sign"]}, {"key_ops": "verify"}, {"kid": 1},
                {"kty": "EC"}, {"n": "!"}, {"n": "AA", "e": "AA"}, {"d": "AQAB"},
            )
        ),
        secret, P256.jwk(alg="RS256"), "a key", None, [],
    ]  # fmt: skip

    async def found(listed: list[Any]) -> Any:
        publisher.keys = listed
        return await KeySet(publisher.url, "RS256").find("one")

    for entry in wrong:
        with pytest.raises(ServiceUnavailable):
            asyncio.run(found([entry]))
        assert caplog.messages[-1].endswith("there is no key for RS256 in the answer")
    assert asyncio.run(found([*wrong, RSA.jwk()])).key.public_numbers() == RSA.key.public_key().public_numbers()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"body": b"{"}, "Expecting property name"),
        ({"body": b"\xff"}, "can't decode byte"),
        ({"body": b"[" * 100_000}, "recursion"),
        ({"body": b"[]"}, "there is no key for RS256"),
        ({"body": b'{"keys": {}}'}, "there is no key for RS256"),
        ({"body": b'{"keys": []}'}, "there is no key for RS256"),
        ({"body": b" " * (LARGEST + 1)}, f"longer than {LARGEST} bytes"),
        ({"keys": [WEAK.jwk()]}, "there is no key for RS256"),
        ({"status": 404}, "the answer is 404"),
        ({"status": 302, "headers": {"Location": "/keys"}}, "the answer is 302"),
    ],
    ids=str,
)
def test_an_answer_that_is_no_set_of_keys_is_told_of(
    answer: dict[str, Any], told: str, publisher: Publisher, caplog: pytest.LogCaptureFixture
) -> None:
    """In one line, without a traceback."""
    for name, value in answer.items():
        setattr(publisher, name, value)
    with pytest.raises(ServiceUnavailable):
        asyncio.run(KeySet(publisher.url, "RS256").find("one"))
    (record,) = [record for record in caplog.records if record.name == "todoservice.jwt"]
    assert record.getMessage().startswith(f"The keys at {publisher.url} cannot be had: ")
    assert told in record.getMessage()
    assert "\n" not in record.getMessage()
    assert record.exc_info is None


def test_the_issuer_may_be_away_when_the_service_starts(
    todoservice_environment: Mapping[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """It is asked again when it has cooled down."""

    async def begin() -> None:
        clock = Clock()
        publisher = Publisher()
        with publisher.listening():
            url = publisher.url
        found = KeySet(url, "RS256", clock)
        with pytest.raises(ServiceUnavailable):
            await found.find("one")
        assert "cannot be had: All connection attempts failed" in caplog.messages[-1]
        with publisher.listening(int(url.split(":")[2].split("/")[0])):
            with pytest.raises(ServiceUnavailable):
                await found.find("one")
            clock.now += COOL_DOWN + 1
            assert await found.find("one")

    del todoservice_environment
    asyncio.run(begin())


def test_an_app_may_be_stopped_while_it_asks_and_started_again(publisher: Publisher) -> None:
    """What became of the request is not what the next one is told."""
    clock = Clock()
    found = KeySet(publisher.url, "RS256", clock)

    async def stop() -> None:
        waiting = asyncio.create_task(found.find("one"))
        while publisher.asked < 1:  # noqa: ASYNC110 - a thread of its own is asked
            await asyncio.sleep(0.01)
        assert not waiting.done()

    publisher.go.clear()
    asyncio.run(stop())
    with pytest.raises(ServiceUnavailable):
        asyncio.run(found.find("one"))
    publisher.go.set()
    clock.now += COOL_DOWN + 1
    assert asyncio.run(found.find("one"))


class TestOneKey:
    """In place of a set: the key is in the settings."""

    @pytest.fixture(
        params=[
            RSA, Signer("RS384", RSA.key), Signer("RS512", RSA.key), Signer("PS256", RSA.key), P256, P384, ED25519,
            Signer("HS256", SECRET), Signer("HS384", SECRET), Signer("HS512", SECRET),
        ],
        ids=lambda signer: signer.algorithm,
    )  # fmt: skip
    def signer(self, request: pytest.FixtureRequest) -> Signer:
        """Return each kind."""
        return request.param  # type: ignore[no-any-return]

    @pytest.fixture
    def todoservice_environment(self, signer: Signer) -> Mapping[str, str]:
        """Return the settings, a PEM in one line as an .env file has it."""
        key = signer.key if isinstance(signer.key, str) else signer.pem().replace("\n", "\\n")
        return {
            "TODOSERVICE_JWT__ISSUER": ISSUER,
            "TODOSERVICE_JWT__AUDIENCE": AUDIENCE,
            "TODOSERVICE_JWT__ALGORITHM": signer.algorithm,
            "TODOSERVICE_JWT__KEY": key,
        }

    def test_its_tokens_are_taken_and_no_others(
        self, todoservice_anonymous_client: TestClient, todoservice_user: UUID, signer: Signer
    ) -> None:
        """Whatever a token calls the key."""
        for kid in ("one", "another", None):
            named = Signer(signer.algorithm, signer.key, kid)
            assert answered(todoservice_anonymous_client, named, todoservice_user) == 200
        for other in (RSA, STRANGER, P256, ED25519, Signer("HS256", SECRET), Signer("HS256", SECRET[::-1])):
            if other.algorithm != signer.algorithm or other.key != signer.key:
                assert answered(todoservice_anonymous_client, other, todoservice_user) == 401, other.algorithm
