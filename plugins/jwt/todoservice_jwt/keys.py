"""The issuer's keys: one that was configured, or the set that the issuer publishes and changes."""

import asyncio
import json
import logging
from collections.abc import Callable
from ssl import SSLContext
from time import monotonic
from typing import Any, Final, Protocol

import httpx2
import jwt
from jwt.exceptions import PyJWTError

from todoservice import ServiceUnavailable

FRESH: Final = 300.0
"""Seconds after which a set of keys is asked for again, while nobody waits for it."""
STALE: Final = 600.0
"""Seconds after which no token is verified before the set has been asked for again."""
KEPT: Final = 86_400.0
"""Seconds for which a set is used all the same while its issuer cannot be reached."""
COOL_DOWN: Final = 10.0
"""Seconds between two requests to the issuer, whatever tokens name."""
TIMEOUT: Final = 5.0
"""Seconds for the issuer to answer."""
LARGEST: Final = 1024 * 1024
"""Bytes of a set of keys."""

logger = logging.getLogger("todoservice.jwt")


class Keys(Protocol):
    """Where the key of a token is found."""

    async def find(self, kid: str | None) -> Any:
        """Return the key of this name, as PyJWT has it, or None. Raises ServiceUnavailable where nobody can say."""


class StaticKey:
    """One key, for every token."""

    def __init__(self, key: Any) -> None:
        """Take the key as PyJWT has it."""
        self._key = key

    async def find(self, kid: str | None) -> Any:
        """Return the key, whatever the token calls it."""
        del kid
        return self._key


class KeySet:
    """The keys that an issuer publishes at a URL (RFC 7517, section 5).

    They are asked for when a token first needs them, again as they age, and when a token names a key that is not among
    them: but by one request at a time, and not before the last one has cooled down. While the issuer cannot be reached
    they are kept, and nobody waits for it.
    """

    def __init__(self, url: str, algorithm: str, clock: Callable[[], float] = monotonic) -> None:
        """Take the keys at `url` that are for signatures by `algorithm`. `clock` tells seconds."""
        self._url = url
        self._clock = clock
        # Made once: it takes long enough to hold up the event loop.
        self._tls = httpx2.create_ssl_context()
        self._algorithm = algorithm
        self._keys: dict[str | None, Any] = {}
        self._fetched = self._asked = float("-inf")
        self._reached = True
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, kid: str | None) -> Any:
        """Return the key of this name; for a token that names none, the only one there is; or None.

        Raises ServiceUnavailable where there are no keys, or none that can still be trusted.
        """
        age = self._clock() - self._fetched
        if age > FRESH or self._key(kid) is None:
            self._start()
        if age > (STALE if self._reached else KEPT) or self._key(kid) is None:
            await self._fetched_again()
        if self._clock() - self._fetched > KEPT:
            msg = "The keys that tokens are verified with cannot be had at the moment: try again shortly."
            raise ServiceUnavailable(msg)
        return self._key(kid)

    def _key(self, kid: str | None) -> Any:
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(kid)

    def _start(self) -> None:
        if self._clock() - self._asked > COOL_DOWN and not self._is_under_way():
            self._asked = self._clock()
            self._fetching = asyncio.create_task(self._fetch())

    def _is_under_way(self) -> bool:
        return self._fetching is not None and not self._fetching.done()

    async def _fetched_again(self) -> None:
        """Wait for the request that is under way, if one is."""
        if self._fetching is not None and self._is_under_way():
            # Whoever leaves takes it from nobody else.
            await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(TIMEOUT):
                self._keys = keys_of(await _read(self._url, self._tls), self._algorithm)
        except (httpx2.HTTPError, TimeoutError, ValueError, RecursionError) as error:
            self._reached = False
            words = str(error) or f"no answer in {TIMEOUT:g} s"
            logger.warning("The keys at %s cannot be had: %s", self._url, " ".join(words.split()))
        else:
            self._reached = True
            self._fetched = self._clock()


async def _read(url: str, tls: SSLContext) -> Any:
    """Return the JSON at `url`: neither elsewhere nor too much. Raises HTTPError or ValueError."""
    async with httpx2.AsyncClient(timeout=TIMEOUT, verify=tls) as client, client.stream("GET", url) as response:
        if response.status_code != httpx2.codes.OK:
            msg = f"the answer is {response.status_code}"
            raise ValueError(msg)
        body = b""
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > LARGEST:
                msg = f"the answer is longer than {LARGEST} bytes"
                raise ValueError(msg)
    return json.loads(body)


def keys_of(document: Any, algorithm: str) -> dict[str | None, Any]:
    """Return the keys of a JWKS document that can verify `algorithm`, by their names; the others are left out.

    Raises ValueError where there is none.
    """
    listed = document.get("keys") if isinstance(document, dict) else None
    found = {}
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, dict) and _is_for(entry, algorithm):
            try:
                key = jwt.PyJWK(entry, algorithm)
            except (PyJWTError, ValueError, TypeError):
                continue
            if not key.Algorithm.check_key_length(key.key):
                found[entry.get("kid")] = key
    if not found:
        msg = f"there is no key for {algorithm} in the answer"
        raise ValueError(msg)
    return found


def _is_for(entry: dict[str, Any], algorithm: str) -> bool:
    """Say whether a key is a public one for signatures by `algorithm` (RFC 7517, sections 4.2 to 4.5)."""
    operations = entry.get("key_ops", ["verify"])
    return (
        isinstance(entry.get("kid", ""), str)
        and entry.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and entry.get("alg", algorithm) == algorithm
        and entry.get("kty") != "oct"
        and "d" not in entry
    )
