"""The operations on tags."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import WithJsonSchema
from todoservice_todos import TodoRead

from todoservice import Conflict, CurrentPage, CurrentScope, Id, NotFound, Page, PageRequest, responses, uuid7
from todoservice_tags.queries import TagQueries
from todoservice_tags.schemas import TagCreate, TagRead, TagUpdate

router = APIRouter()

# No query can say null.
OfTodo = Annotated[
    Id | None, Query(description="Only the tags of this todo."), WithJsonSchema({"type": "string", "format": "uuid"})
]


class NameTaken(Conflict):
    """The user has a tag of this name."""

    default = "You have a tag of this name already: choose another name."


@router.post(
    "",
    status_code=201,
    response_model=TagRead,
    responses={
        201: {"headers": {"Location": {"description": "Where the tag is.", "schema": {"type": "string"}}}},
        **responses(NameTaken),
    },
)
async def create_tag(tag: TagCreate, scope: CurrentScope, request: Request) -> Response:
    """Create a tag."""
    new_id = uuid7()
    try:
        response = await scope.one_json(TagQueries.create_tag, id=new_id, **tag.model_dump())
    except Conflict as conflict:
        raise NameTaken from conflict
    response.headers["Location"] = f"{request.scope['path']}/{new_id}"
    return response


@router.get("", response_model=Page[TagRead], responses={**PageRequest.responses, **responses(NotFound)})
async def list_tags(page: CurrentPage, scope: CurrentScope, todo_id: OfTodo = None) -> Response:
    """List the user's tags, or those of one todo, newest first."""
    if todo_id is None:
        return await scope.page_json(TagQueries.list_tags, page)
    return await scope.page_json(TagQueries.list_tags_of_todo, page, of=TagQueries.todo, todo_id=todo_id)


@router.get("/{tag_id}", response_model=TagRead, responses=responses(NotFound))
async def retrieve_tag(tag_id: Id, scope: CurrentScope) -> Response:
    """Retrieve a tag."""
    return await scope.one_json(TagQueries.retrieve_tag, tag_id=tag_id)


@router.patch("/{tag_id}", response_model=TagRead, responses=responses(NotFound, NameTaken))
async def update_tag(tag_id: Id, tag: TagUpdate, scope: CurrentScope) -> Response:
    """Rename a tag: the todos that have it keep it."""
    try:
        return await scope.one_json(TagQueries.update_tag, tag_id=tag_id, **tag.model_dump())
    except Conflict as conflict:
        raise NameTaken from conflict


@router.delete("/{tag_id}", status_code=204, responses=responses(NotFound))
async def delete_tag(tag_id: Id, scope: CurrentScope) -> Response:
    """Delete a tag for good, and take it off all todos."""
    await scope.one(TagQueries.delete_tag, tag_id=tag_id)
    return Response(status_code=204)


@router.get(
    "/{tag_id}/todos", response_model=Page[TodoRead], responses={**PageRequest.responses, **responses(NotFound)}
)
async def list_tagged_todos(tag_id: Id, page: CurrentPage, scope: CurrentScope) -> Response:
    """List the todos that have a tag, newest first."""
    return await scope.page_json(TagQueries.list_tagged_todos, page, of=TagQueries.retrieve_tag, tag_id=tag_id)


@router.put("/{tag_id}/todos/{todo_id}", status_code=204, responses=responses(NotFound))
async def attach_tag(tag_id: Id, todo_id: Id, scope: CurrentScope) -> Response:
    """Put a tag on a todo. Once it is there, doing so again changes nothing."""
    await scope.one(TagQueries.attach_tag, id=uuid7(), tag_id=tag_id, todo_id=todo_id)
    return Response(status_code=204)


@router.delete("/{tag_id}/todos/{todo_id}", status_code=204, responses=responses(NotFound))
async def detach_tag(tag_id: Id, todo_id: Id, scope: CurrentScope) -> Response:
    """Take a tag off a todo."""
    await scope.one(TagQueries.detach_tag, tag_id=tag_id, todo_id=todo_id)
    return Response(status_code=204)
