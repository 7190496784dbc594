"""What the tests of tags say again and again."""

from dataclasses import dataclass
from typing import Any, Final

from fastapi.testclient import TestClient

TAGS: Final = "/api/v1/tags"
NOBODYS: Final = "01a20228-5edb-71df-bca3-24b32aad7edc"
NOT_FOUND: Final = {
    "type": "about:blank",
    "title": "Not Found",
    "status": 404,
    "detail": "There is nothing here under that id.",
    "error_code": "NOT_FOUND",
}


@dataclass(frozen=True)
class Someone:
    """A user with a client, and what the tests ask of it again and again."""

    client: TestClient

    def tag(self, name: str = "errands") -> str:
        """Create a tag and return its path."""
        return self._create(TAGS, name=name)

    def todo(self, title: str = "Buy milk") -> str:
        """Create a todo and return its id."""
        return self._create("/api/v1/todos", title=title).rpartition("/")[2]

    def attach(self, tag: str, todo: str) -> None:
        """Put a tag on a todo."""
        assert self.client.put(f"{tag}/todos/{todo}").status_code == 204

    def titles(self, tag: str) -> list[str]:
        """Return the titles of the todos that have a tag."""
        return [todo["title"] for todo in self.items(f"{tag}/todos")]

    def names(self, todo: str) -> list[str]:
        """Return the names of a todo's tags."""
        return [tag["name"] for tag in self.items(TAGS, todo_id=todo)]

    def items(self, path: str, **query: str) -> list[dict[str, Any]]:
        """Return the items of a page."""
        response = self.client.get(path, params=query)
        assert response.status_code == 200, response.text
        items: list[dict[str, Any]] = response.json()["items"]
        return items

    def _create(self, path: str, **members: str) -> str:
        response = self.client.post(path, json=members)
        assert response.status_code == 201, response.text
        return str(response.headers["location"])
