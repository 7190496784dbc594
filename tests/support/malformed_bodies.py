"""Malformed bodies, by what is wrong with them."""

from typing import Any, Final

_MANY: Final = 10**5


WHITE = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2006\u200a\u2028\u2029\u202f\u205f\u3000"
"""Unicode's white space (property White_Space), most of it."""

NOT_JSON = {
    "white space": b" \n",
    "a brace": b"{",
    "a word": b"title",
    "half a string": b'{"title": "Buy',
    "half a number": b'{"title": 1',
    "single quotes": b"{'title': 'Buy milk'}",
    "no quotes": b'{title: "Buy milk"}',
    "a comma too many": b'{"title": "Buy milk",}',
    "a comma too few": b'{"title": "Buy milk" "is_completed": true}',
    "no colon": b'{"title" "Buy milk"}',
    "a comment": b'{"title": "Buy milk" /* today */}',
    "two values": b'{"title": "Buy milk"}{"title": "Buy milk"}',
    "a word after": b'{"title": "Buy milk"} ok',
    "a line break in a string": b'{"title": "Buy\nmilk"}',
    "NUL in a string": b'{"title": "Buy\x00milk"}',
    "NUL before": b'\x00{"title": "Buy milk"}',
    "NUL after": b'{"title": "Buy milk"}\x00',
    "an unknown escape": b'{"title": "\\x41"}',
    "half an escape": b'{"title": "\\u00',
    "hexadecimal": b'{"title": 0x41}',
    "a leading zero": b'{"title": "Buy milk", "is_completed": 01}',
    "a leading plus": b'{"title": "Buy milk", "is_completed": +1}',
    "True": b'{"title": "Buy milk", "is_completed": True}',
    "undefined": b'{"title": undefined}',
    "a form": b"title=Buy+milk",
    "a multipart form": b'--x\r\nContent-Disposition: form-data; name="title"\r\n\r\nBuy milk\r\n--x--\r\n',
    "XML": b"<todo><title>Buy milk</title></todo>",
    "YAML": b"title: Buy milk",
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xabV*\xc9,\xc9IU",
    "invalid UTF-8": b'{"title": "\xff"}',
    "half a character": b'{"title": "\xf0\x9f\x98"}',
    "an overlong character": b'{"title": "\xc0\x80"}',
    "latin-1": '{"title": "café"}'.encode("latin-1"),
    "an invalid name": b'{"\xff": 1}',
    "a number of 5000 digits": b'{"title": ' + b"9" * 5000 + b"}",
    "an unknown number of 5000 digits": b'{"title": "Buy milk", "n": -' + b"9" * 5000 + b"}",
    "deep arrays": b"[" * _MANY + b"]" * _MANY,
    "deep arrays without end": b"[" * _MANY,
    "deep objects": b'{"title":' * _MANY + b"1" + b"}" * _MANY,
    "a deep member": b'{"title": "Buy milk", "n": ' + b"[" * _MANY + b"]" * _MANY + b"}",
}

NOT_AN_OBJECT = {
    "null": b"null",
    "true": b"true",
    "a number": b"1",
    "a huge number": b"1e999",
    "NaN": b"NaN",
    "a string": b'"Buy milk"',
    "an empty array": b"[]",
    "an array of an object": b'[{"title": "Buy milk"}]',
    "an array of pairs": b'[["title", "Buy milk"]]',
}

NO_STRING: list[Any] = [0, 1, -1, 1.5, 1e300, 10**400, True, False, [], ["Buy milk"], {}, {"title": "Buy milk"}]
NO_BOOLEAN: list[Any] = [None, 0, 1, 1.0, "", "true", "false", "yes", "on", "1", "0", [], [True], {}]
UNSTORABLE = [
    "\0",
    "Buy\0milk",
    "\0Buy milk",
    "Buy milk\0",
    "\ud800",
    "\udfff",
    "Buy \udc00\ud800 milk",
    "x" * 99 + "\udead",
]

MEMBERS: dict[str, tuple[str, Any]] = {
    **{f"title {value!r:.30}": ("title", value) for value in [None, *NO_STRING]},
    **{f"description {value!r:.30}": ("description", value) for value in NO_STRING},
    **{f"is_completed {value!r}": ("is_completed", value) for value in NO_BOOLEAN},
    **{f"title {value[:20]!a}": ("title", value) for value in UNSTORABLE},
    **{f"description {value[:20]!a}": ("description", value) for value in UNSTORABLE},
    **{f"title of {white!a}": ("title", white) for white in ["", *WHITE, WHITE, " " * 256]},
    **{f"title of 256 {sign!a}": ("title", sign * 256) for sign in "aé\u3042😀"},
    **{f"description of 2001 {sign!a}": ("description", sign * 2001) for sign in "a é😀"},
    "a title of 300 characters, its ends white": ("title", " " + "a" * 298 + " "),
    "a title of a million": ("title", "a" * 10**6),
}
"""A member that is at fault, by what is wrong with it."""

UNKNOWN = [
    "id",
    "user_id",
    "created_at",
    "Title",
    "title ",
    "",
    "\0",
    "\u202e",
    "__proto__",
    "constructor",
    "a.b",
    "x" * 9999,
]

RAW_MEMBERS = {
    "a NaN title": (b'{"title": NaN}', "body.title"),
    "an infinite title": (b'{"title": Infinity}', "body.title"),
    "a huge title": (b'{"title": 1e999}', "body.title"),
    "an infinite is_completed": (b'{"title": "Buy milk", "is_completed": -Infinity}', "body.is_completed"),
    "the last of two titles": (b'{"title": "Buy milk", "title": null}', "body.title"),
    "a surrogate, as bytes": (b'{"title": "\xed\xa0\x80"}', "body.title"),
    "a pair of surrogates, as bytes": (b'{"title": "\xed\xa0\xbd\xed\xb8\x80"}', "body.title"),
    "an escaped NUL": (b'{"title": "\\u0000"}', "body.title"),
    "a surrogate as a name": (b'{"title": "Buy milk", "\\ud800": 1}', "body"),
    "a surrogate as a name, as bytes": (b'{"title": "Buy milk", "\xed\xa0\x80": 1}', "body"),
    "a deep title": (b'{"title": ' + b"[" * 500 + b"]" * 500 + b"}", "body.title"),
}
