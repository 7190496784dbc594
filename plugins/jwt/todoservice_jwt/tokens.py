"""A bearer token, and the user that it is about."""

import json
from typing import Annotated, Any, Final
from uuid import UUID, uuid5

import jwt
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from jwt import exceptions
from pydantic import TypeAdapter, ValidationError

from todoservice import Id, Unauthenticated
from todoservice_jwt.keys import Keys
from todoservice_jwt.settings import JwtSettings

NAMESPACE: Final = UUID("5b6a4f0e-6f0d-4b0b-9b57-3f1e6e0c2a51")
"""That of users whose id is a hash of issuer and subject (RFC 9562, section 5.5)."""
LONGEST: Final = 8192
"""Characters of a token."""
REQUIRED: Final = ("exp", "iss", "aud", "sub")
REALM: Final = 'Bearer realm="todoservice"'

_bearer = HTTPBearer(bearerFormat="JWT", description="A token of the issuer that the service trusts.", auto_error=False)
_id: TypeAdapter[UUID] = TypeAdapter(Id)

_WORDS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (exceptions.ExpiredSignatureError, "The token has expired: get a new one."),
    (exceptions.ImmatureSignatureError, "The token is not valid yet: see that the issuer's clock is right."),
    (exceptions.InvalidAudienceError, "The token is for another audience."),
    (exceptions.InvalidIssuerError, "The token is from another issuer."),
    (exceptions.MissingRequiredClaimError, f"The token lacks one of the claims {', '.join(REQUIRED)}."),
)
"""What a client is told of a token whose signature is right."""
_NOT_ACCEPTED: Final = "The token is not one that this service accepts."


class Verifier:
    """The dependency that says who is asking: whom the request's token is about.

    A token is verified as RFC 7519, section 7.2, has it and RFC 8725 advises: by the one algorithm and the issuer's
    keys that the settings name, never by what the token says of itself.
    """

    def __init__(self, settings: JwtSettings, keys: Keys) -> None:
        """Take tokens as `settings` say, signed with one of `keys`."""
        self._settings = settings
        self._keys = keys

    async def __call__(
        self, request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
    ) -> UUID:
        """Return the user's id. Raises Unauthenticated, or ServiceUnavailable where there are no keys."""
        if given is None or not given.credentials:
            detail = "Send a token: Authorization: Bearer <token>."
            raise Unauthenticated(detail, challenge=REALM)
        if len(request.headers.getlist("authorization")) != 1:
            detail = "Send one header Authorization."
            raise _invalid(detail)
        return self._user(await self._claims(given.credentials.strip(" ")))

    async def _claims(self, token: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token) if len(token) <= LONGEST else {}
            if header.get("alg") != self._settings.algorithm or "crit" in header:
                raise _invalid(_NOT_ACCEPTED)
            key = await self._keys.find(header.get("kid"))
            if key is None:
                raise _invalid(_NOT_ACCEPTED)
            return jwt.decode(
                token, key, [self._settings.algorithm],
                options={"require": list(REQUIRED), "enforce_minimum_key_length": True},
                audience=self._settings.audience, issuer=self._settings.issuer, leeway=self._settings.leeway,
            )  # fmt: skip
        except exceptions.PyJWTError as error:
            words = next((words for kind, words in _WORDS if isinstance(error, kind)), _NOT_ACCEPTED)
            raise _invalid(words) from error

    def _user(self, claims: dict[str, Any]) -> UUID:
        if not claims["sub"]:
            # Hashed, it would be one user, whom all share that the issuer has no name for.
            msg = "The token's subject is empty."
            raise _invalid(msg)
        if self._settings.subjects == "hashed":
            # As JSON, so that no other issuer and subject are joined to the same text.
            return uuid5(NAMESPACE, json.dumps([claims["iss"], claims["sub"]]))
        try:
            return _id.validate_python(claims["sub"])
        except ValidationError:
            msg = "The token's subject is no UUID."
            raise _invalid(msg) from None


def _invalid(words: str) -> Unauthenticated:
    """Return the refusal of a token (RFC 6750, section 3.1)."""
    return Unauthenticated(words, challenge=f'{REALM}, error="invalid_token", error_description="{words}"')
