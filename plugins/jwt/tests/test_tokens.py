"""Who is let in, and who is not."""

import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid5

import jwt
import pytest
from fastapi.testclient import TestClient
from issuing import AUDIENCE, ISSUER, P256, RSA, STRANGER, Publisher, Signer, encoded
from todoservice_jwt.tokens import LONGEST, NAMESPACE

TODOS = "/api/v1/todos"
NOT_ACCEPTED = "The token is not one that this service accepts."


def asked(client: TestClient, token: str) -> Any:
    """Ask for the todos with this token."""
    return client.get(TODOS, headers={"Authorization": f"Bearer {token}"})


def test_two_users_are_apart(todoservice_client: TestClient, todoservice_other_client: TestClient) -> None:
    """Each sees what is theirs."""
    made = todoservice_client.post(TODOS, json={"title": "Mine"})
    assert made.status_code == 201
    assert todoservice_other_client.get(f"{TODOS}/{made.json()['id']}").status_code == 404
    assert todoservice_other_client.get(TODOS).json()["items"] == []
    assert [row["title"] for row in todoservice_client.get(TODOS).json()["items"]] == ["Mine"]


def test_without_a_token_the_answer_says_how_to_ask(todoservice_anonymous_client: TestClient) -> None:
    """RFC 6750, section 3: a challenge without an error code; RFC 9457: a problem."""
    for headers in ({}, {"Authorization": "Bearer"}, {"Authorization": "Bearer "}, {"Authorization": "Basic dTpw"}):
        answer = todoservice_anonymous_client.get(TODOS, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="todoservice"'
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"] == "Send a token: Authorization: Bearer <token>."


def test_the_header_is_nobody(todoservice_anonymous_client: TestClient, todoservice_user: UUID) -> None:
    """X-User-ID lets nobody in, and changes nothing beside a token."""
    header = {"X-User-ID": str(todoservice_user)}
    assert todoservice_anonymous_client.get(TODOS, headers=header).status_code == 401
    bearer = {"Authorization": f"Bearer {RSA.token(sub='0197b9a5-6d1a-7c3e-8f4b-2a9d5e7c1b3f')}"}
    todoservice_anonymous_client.post(TODOS, json={"title": "Of the token's"}, headers=bearer | header)
    mine = {"Authorization": f"Bearer {RSA.token(sub=str(todoservice_user))}"}
    assert todoservice_anonymous_client.get(TODOS, headers=mine).json()["items"] == []


def test_a_token_elsewhere_is_none(todoservice_anonymous_client: TestClient, todoservice_user: UUID) -> None:
    """In the query, a cookie or a form: RFC 6750 has these too, and they end in logs."""
    token = RSA.token(sub=str(todoservice_user))
    for kind in ("access_token", "token"):
        answer = todoservice_anonymous_client.get(TODOS, params={kind: token})
        assert answer.status_code == 401
        assert token not in answer.text
        assert todoservice_anonymous_client.get(TODOS, headers={"Cookie": f"{kind}={token}"}).status_code == 401


def test_two_headers_are_one_too_many(todoservice_anonymous_client: TestClient, todoservice_user: UUID) -> None:
    """A proxy might look at the other."""
    right = f"Bearer {RSA.token(sub=str(todoservice_user))}"
    for headers in ([right, right], [right, "Bearer x"], ["Bearer x", right], [right, "Basic dTpw"]):
        answer = todoservice_anonymous_client.get(TODOS, headers=[("Authorization", value) for value in headers])
        assert answer.status_code == 401
        assert answer.json()["detail"] == "Send one header Authorization."


def test_what_a_client_is_told_of_a_token(todoservice_anonymous_client: TestClient, todoservice_user: UUID) -> None:
    """What is wrong with one that the issuer signed; of any other, nothing."""
    now, sub = int(time.time()), str(todoservice_user)
    lacks = "The token lacks one of the claims exp, iss, aud, sub."
    for token, words in (
        (RSA.token(sub=sub, exp=now - 31), "The token has expired: get a new one."),
        (RSA.token(sub=sub, nbf=now + 60), "The token is not valid yet: see that the issuer's clock is right."),
        (RSA.token(sub=sub, iat=now + 60), "The token is not valid yet: see that the issuer's clock is right."),
        (RSA.token(sub=sub, aud="another"), "The token is for another audience."),
        (RSA.token(sub=sub, aud=["another", "todoservices"]), "The token is for another audience."),
        (RSA.token(sub=sub, iss="https://issuer.example"), "The token is from another issuer."),
        (RSA.token(sub=sub, iss="https://issuer.example/ "), "The token is from another issuer."),
        *((RSA.token(None, **{"sub": sub, missing: None}), lacks) for missing in ("exp", "iss", "aud", "sub")),
        (RSA.token(sub="alice"), "The token's subject is no UUID."),
        (RSA.token(sub=sub.upper() + "0"), "The token's subject is no UUID."),
        (STRANGER.token(sub=sub), NOT_ACCEPTED),
        ("x", NOT_ACCEPTED),
    ):
        answer = asked(todoservice_anonymous_client, token)
        assert (answer.status_code, answer.json()["detail"]) == (401, words)
        challenge = f'Bearer realm="todoservice", error="invalid_token", error_description="{words}"'
        assert answer.headers["www-authenticate"] == challenge
        assert answer.headers["content-type"] == "application/problem+json"


def test_clocks_may_differ_by_the_leeway(todoservice_anonymous_client: TestClient, todoservice_user: UUID) -> None:
    """Half a minute either way, unless a setting says otherwise."""
    now, sub = int(time.time()), str(todoservice_user)
    for claims in ({"exp": now - 25}, {"nbf": now + 25}, {"iat": now + 25}):
        assert asked(todoservice_anonymous_client, RSA.token(None, sub=sub, **claims)).status_code == 200, claims


def test_one_audience_of_several_is_this_one(todoservice_anonymous_client: TestClient, todoservice_user: UUID) -> None:
    """RFC 7519, section 4.1.3."""
    token = RSA.token(sub=str(todoservice_user), aud=["another", AUDIENCE])
    assert asked(todoservice_anonymous_client, token).status_code == 200


ODD: list[Any] = [float("inf"), float("nan"), -(10**300), "", "x", [], {}, [[]], {"a": 1}, "\x00", True, 1.5, -1]
"""What is no time, and no name of anybody."""


def attacks(sub: str) -> Iterator[tuple[str, str]]:
    """Yield tokens that nobody may get in with, each with its name."""
    right = RSA.token(sub=sub)
    header, payload, signature = right.split(".")
    claims = jwt.decode(right, options={"verify_signature": False})
    for none in ("none", "None", "NONE", "nOnE", "", None, 0, ["none"], {"alg": "none"}):
        yield f"alg {none}", f"{encoded({'typ': 'JWT', 'alg': none, 'kid': 'one'})}.{encoded(claims)}."
        yield f"alg {none}, signed", f"{encoded({'alg': none, 'kid': 'one'})}.{encoded(claims)}.{signature}"
    yield "no alg", f"{encoded({'typ': 'JWT', 'kid': 'one'})}.{encoded(claims)}."
    for algorithm in ("HS256", "HS384", "HS512"):
        for public in (RSA.pem(), RSA.pem().strip(), encoded(RSA.jwk())):
            # PyJWT itself refuses to sign with what is a public key; an attacker's library does not.
            yield f"{algorithm} with the public key", _hmac(algorithm, public.encode(), claims)
        yield f"{algorithm} with nothing", _hmac(algorithm, b"", claims)
    yield "another algorithm of the same key", Signer("RS512", RSA.key).token(sub=sub)
    yield "another algorithm by the header only", Signer("RS512", RSA.key).token({"alg": "RS256"}, sub=sub)
    yield "PS256", Signer("PS256", RSA.key).token(sub=sub)
    yield "another kind of key", P256.token(sub=sub)
    yield "another's key", STRANGER.token(sub=sub)
    yield "a key in the header", STRANGER.token({"jwk": STRANGER.jwk()}, sub=sub)
    yield "a key elsewhere", STRANGER.token({"jku": "http://127.0.0.1:1/keys", "x5u": "http://127.0.0.1:1/"}, sub=sub)
    yield "a certificate in the header", STRANGER.token({"x5c": [STRANGER.pem()]}, sub=sub)
    for kid in ("", "two", "../one", "one\x00", "' OR 1=1 --", "/dev/null", 1, None, ["one"], {"one": 1}):
        yield f"the name {kid!r}", STRANGER.token({"kid": kid}, sub=sub)
        yield f"the name {kid!r} of the right key", RSA.token({"kid": kid}, sub=sub) if kid else STRANGER.token(sub=sub)
    for crit in (["exp"], [], "exp", None):
        yield f"what must be understood: {crit}", RSA.token({"crit": crit}, sub=sub)
    yield "an unencoded payload", RSA.token({"b64": False, "crit": ["b64"]}, sub=sub)
    yield "no signature", f"{header}.{payload}."
    yield "two parts", f"{header}.{payload}"
    yield "four parts", f"{right}.{signature}"
    yield "five parts, as if encrypted", f"{header}.{payload}.{signature}.{payload}.{signature}"
    yield "another payload", f"{header}.{encoded(claims | {'sub': '0197b9a5-6d1a-7c3e-8f4b-2a9d5e7c1b3f'})}.{signature}"
    yield "another header", f"{encoded({'alg': 'RS256', 'kid': 'one', 'typ': 'at+jwt'})}.{payload}.{signature}"
    for length in range(1, len(right), 41):
        yield f"its first {length} characters", right[:length]
    yield "a signature with a bit changed", f"{header}.{payload}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"
    yield "a payload that is no object", RSA.signed({"alg": "RS256", "kid": "one"}, [claims])
    yield "a payload that is no JSON", RSA.signed({"alg": "RS256", "kid": "one"}, b"{")
    yield "a payload that is no text", RSA.signed({"alg": "RS256", "kid": "one"}, b"\xff\xfe")
    yield "a header that is no object", RSA.signed(["RS256"], claims)
    yield "a header that is nested deeply", f"{encoded(b'[' * 5900)}.{payload}.{signature}"
    yield "a payload that is nested deeply", RSA.signed({"alg": "RS256", "kid": "one"}, b"[" * 5000)
    for claim in ("exp", "iss", "aud", "sub"):
        for value in ODD:
            yield f"{claim} of {value!r}", RSA.token(**{"sub": sub, claim: value})
    yield "more than a token's length", RSA.token(sub=sub, more="x" * LONGEST)
    yield "what is no base64", f"{header}.{payload}.\u00e9"
    yield "spaces", right.replace(".", " . ")
    yield "two tokens", f"{right} {right}"
    yield "two tokens, with a comma", f"{right},{right}"


def _hmac(algorithm: str, key: bytes, claims: dict[str, Any]) -> str:
    made = jwt.get_algorithm_by_name(algorithm)
    text = f"{encoded({'alg': algorithm, 'kid': 'one'})}.{encoded(claims)}"
    return f"{text}.{encoded(made.sign(text.encode(), key))}"


def test_nobody_gets_in_with_anything_else(
    todoservice_anonymous_client: TestClient, todoservice_user: UUID, publisher: Publisher
) -> None:
    """Unsigned, signed by others, by another algorithm or broken: 401, and nothing is told of why."""
    assert asked(todoservice_anonymous_client, RSA.token(sub=str(todoservice_user))).status_code == 200
    got_in = []
    for name, token in attacks(str(todoservice_user)):
        answer = todoservice_anonymous_client.get(TODOS, headers=[(b"Authorization", f"Bearer {token}".encode())])
        if answer.status_code != 401:
            got_in.append((name, answer.status_code, answer.text))
    assert got_in == []
    assert publisher.asked <= 2  # names of keys make it look again, and not for each


def test_odd_claims_that_nobody_asks_for_break_nothing(
    todoservice_anonymous_client: TestClient, todoservice_user: UUID
) -> None:
    """They are taken or refused."""
    for claim in ("nbf", "iat", "jti", "azp", "\x00"):
        for value in ODD:
            token = RSA.token(**{"sub": str(todoservice_user), claim: value})
            assert asked(todoservice_anonymous_client, token).status_code in {200, 401}, (claim, value)


def test_a_subject_may_be_hashed_to_the_users_id(
    todoservice_settings: Any, todoservice_plugins: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For an issuer whose subjects are no UUIDs: the same id each time, and another for another subject or issuer."""
    from todoservice import create_app

    monkeypatch.setenv("TODOSERVICE_JWT__SUBJECTS", "hashed")
    with TestClient(create_app(todoservice_settings, plugins=todoservice_plugins)) as client:
        alice, bob = ({"Authorization": f"Bearer {RSA.token(sub=sub)}"} for sub in ("auth0|alice", "auth0|bob"))
        assert client.post(TODOS, json={"title": "Alice's"}, headers=alice).status_code == 201
        again = {"Authorization": f"Bearer {RSA.token(sub='auth0|alice')}"}
        assert [row["title"] for row in client.get(TODOS, headers=again).json()["items"]] == ["Alice's"]
        assert client.get(TODOS, headers=bob).json()["items"] == []
        nobody = {"Authorization": f"Bearer {RSA.token(sub='')}"}
        assert client.get(TODOS, headers=nobody).status_code == 401
    assert uuid5(NAMESPACE, f'["{ISSUER}", "auth0|alice"]') != uuid5(NAMESPACE, f'["{ISSUER}", "auth0|bob"]')


def test_the_document_has_the_scheme(todoservice_anonymous_client: TestClient) -> None:
    """HTTP bearer, for every operation of a feature; and no X-User-ID."""
    document = todoservice_anonymous_client.get("/openapi.json").json()
    (name, scheme), *others = document["components"]["securitySchemes"].items()
    assert not others
    assert (scheme["type"], scheme["scheme"], scheme["bearerFormat"]) == ("http", "bearer", "JWT")
    operations = [operation for path, item in document["paths"].items() if TODOS in path for operation in item.values()]
    assert len(operations) == 5
    for operation in operations:
        assert operation["security"] == [{name: []}]
        assert operation["responses"]["401"]["content"].keys() == {"application/problem+json"}
        assert "X-User-ID" not in str(operation)
