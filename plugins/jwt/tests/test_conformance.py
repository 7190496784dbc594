"""What holds for every feature, and for todos with bearer tokens."""

from todoservice.testing import Conformance


class TestJwt(Conformance):
    """The plugin."""

    plugin = "jwt"


class TestTodosByToken(Conformance):
    """The feature whose users it knows."""

    plugin = "todos"
