"""The application, as Django registers it."""

from django.apps import AppConfig


class Todos(AppConfig):
    """Todos."""

    name = "performance.peers.drf"
    label = "todos"
