"""The five operations on todos."""

from fastapi import APIRouter, Request, Response

from todoservice import CurrentPage, CurrentScope, Id, NotFound, Page, PageRequest, responses, uuid7
from todoservice_todos.queries import TodoQueries
from todoservice_todos.schemas import TodoCreate, TodoRead, TodoUpdate

router = APIRouter()


@router.post(
    "",
    status_code=201,
    response_model=TodoRead,
    responses={201: {"headers": {"Location": {"description": "Where the todo is.", "schema": {"type": "string"}}}}},
)
async def create_todo(todo: TodoCreate, scope: CurrentScope, request: Request) -> Response:
    """Create a todo."""
    new_id = uuid7()
    response = await scope.one_json(TodoQueries.create_todo, id=new_id, **todo.model_dump())
    response.headers["Location"] = f"{request.scope['path']}/{new_id}"
    return response


@router.get("", response_model=Page[TodoRead], responses=PageRequest.responses)
async def list_todos(page: CurrentPage, scope: CurrentScope) -> Response:
    """List the user's todos, newest first."""
    return await scope.page_json(TodoQueries.list_todos, page)


@router.get("/{id}", response_model=TodoRead, responses=responses(NotFound))
async def retrieve_todo(id: Id, scope: CurrentScope) -> Response:
    """Retrieve a todo."""
    return await scope.one_json(TodoQueries.retrieve_todo, id=id)


@router.patch("/{id}", response_model=TodoRead, responses=responses(NotFound))
async def update_todo(id: Id, todo: TodoUpdate, scope: CurrentScope) -> Response:
    """Change a todo: members that are absent stay as they are."""
    return await scope.one_json(TodoQueries.update_todo, id=id, **todo.model_dump())


@router.delete("/{id}", status_code=204, responses=responses(NotFound))
async def delete_todo(id: Id, scope: CurrentScope) -> Response:
    """Delete a todo for good."""
    if not await scope.execute(TodoQueries.delete_todo, id=id):
        raise NotFound
    return Response(status_code=204)
