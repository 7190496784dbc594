"""The table."""

from uuid import uuid4

from django.db import models


class Todo(models.Model):
    """A row."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    title = models.CharField(max_length=255)
    description = models.CharField(max_length=2000, null=True, blank=True)
    is_completed = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    user_id = models.UUIDField(editable=False)

    class Meta:
        """The table's name and order."""

        db_table = "todos"
        ordering = ("-created_at",)
