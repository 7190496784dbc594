"""Bearer tokens: JWTs of one issuer say who is asking. A plugin that takes the hook `todoservice_user`."""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from todoservice import hookimpl
from todoservice_jwt.keys import KeySet, StaticKey
from todoservice_jwt.settings import JwtSettings
from todoservice_jwt.tokens import Verifier


@hookimpl
def todoservice_settings() -> type[BaseModel]:
    """Whose tokens are taken, and how they are verified."""
    return JwtSettings


@hookimpl
def todoservice_user(settings: JwtSettings) -> Callable[..., Any]:
    """Whom the request's token is about."""
    if settings.jwks_url is None:
        return Verifier(settings, StaticKey(settings.static_key()))
    return Verifier(settings, KeySet(settings.jwks_url, settings.algorithm))
