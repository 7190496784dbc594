"""The peers: the same five operations on todos, each as its own framework's documentation has one write them.

All have one path, `/api/v1/todos`, the header `X-User-ID`, the same members and one table, `todos`, with an index of
`(user_id, created_at)`. A list is a bare array, newest first. None isolates users in the database: what each does not
do besides stands in `performance.contestants`.
"""
