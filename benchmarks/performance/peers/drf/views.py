"""The serializer and the view set."""

from typing import Any
from uuid import UUID

from rest_framework.exceptions import ValidationError
from rest_framework.response import Response
from rest_framework.serializers import ModelSerializer
from rest_framework.viewsets import ModelViewSet

from performance.peers.drf.models import Todo

LIMIT = 1000


class TodoSerializer(ModelSerializer):
    """A todo over HTTP."""

    class Meta:
        """Its members."""

        model = Todo
        fields = ("id", "title", "description", "is_completed", "created_at", "user_id")


class TodoViewSet(ModelViewSet):
    """The five operations."""

    serializer_class = TodoSerializer

    def get_queryset(self) -> Any:
        """Return the user's todos."""
        return Todo.objects.filter(user_id=self._user_id())

    def perform_create(self, serializer: Any) -> None:
        """Create a todo of the user's."""
        serializer.save(user_id=self._user_id())

    def list(self, request: Any) -> Any:
        """List the user's todos, newest first."""
        limit = min(int(request.query_params.get("limit", LIMIT)), LIMIT)
        return Response(self.get_serializer(self.get_queryset()[:limit], many=True).data)

    def _user_id(self) -> UUID:
        try:
            return UUID(self.request.headers["X-User-ID"])
        except (KeyError, ValueError):
            raise ValidationError({"X-User-ID": "a UUID is needed"}) from None
