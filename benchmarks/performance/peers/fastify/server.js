// Fastify and pg: a response schema for every route, so that fast-json-stringify writes the JSON, and named (prepared)
// statements. It does not isolate users in the database: each handler has to remember the user in its WHERE.
import cluster from 'node:cluster'
import { randomUUID } from 'node:crypto'
import Fastify from 'fastify'
import pg from 'pg'

const { DATABASE_URL, CONNECTIONS, PORT, WORKERS } = process.env
const COLUMNS = 'id, title, description, is_completed, created_at, user_id'
const uuid = { type: 'string', format: 'uuid' }
const title = { type: 'string', minLength: 1, maxLength: 255 }
const description = { type: 'string', maxLength: 2000, nullable: true }
const is_completed = { type: 'boolean' }
const todo = {
  type: 'object',
  properties: {
    id: uuid,
    title: { type: 'string' },
    description: { type: 'string', nullable: true },
    is_completed,
    created_at: { type: 'string', format: 'date-time' },
    user_id: uuid
  }
}
const headers = { type: 'object', required: ['x-user-id'], properties: { 'x-user-id': uuid } }
const params = { type: 'object', required: ['id'], properties: { id: uuid } }
const members = { title, description, is_completed }
const querystring = {
  type: 'object',
  properties: { limit: { type: 'integer', minimum: 1, maximum: 1000, default: 1000 } }
}

function build () {
  const app = Fastify()
  const pool = new pg.Pool({ connectionString: DATABASE_URL, max: Number(CONNECTIONS) })
  const query = (name, text, values) => pool.query({ name, text, values })
  const one = (rows, reply) => rows[0] ?? reply.code(404).send()
  const path = '/api/v1/todos'

  app.post(path, {
    schema: {
      headers,
      body: { type: 'object', required: ['title'], properties: members, additionalProperties: false },
      response: { 201: todo }
    }
  }, async (request, reply) => {
    const { title, description = null, is_completed = false } = request.body
    const { rows } = await query(
      'create', `INSERT INTO todos (${COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6) RETURNING ${COLUMNS}`,
      [randomUUID(), title, description, is_completed, new Date(), request.headers['x-user-id']]
    )
    reply.code(201)
    return rows[0]
  })

  app.get(path, {
    schema: { headers, querystring, response: { 200: { type: 'array', items: todo } } }
  }, async (request) => {
    const { rows } = await query(
      'list', `SELECT ${COLUMNS} FROM todos WHERE user_id = $1 ORDER BY created_at DESC LIMIT $2`,
      [request.headers['x-user-id'], request.query.limit]
    )
    return rows
  })

  app.get(`${path}/:id`, {
    schema: { headers, params, response: { 200: todo } }
  }, async (request, reply) => {
    const { rows } = await query(
      'retrieve', `SELECT ${COLUMNS} FROM todos WHERE id = $1 AND user_id = $2`,
      [request.params.id, request.headers['x-user-id']]
    )
    return one(rows, reply)
  })

  app.patch(`${path}/:id`, {
    schema: {
      headers,
      params,
      body: { type: 'object', properties: members, additionalProperties: false },
      response: { 200: todo }
    }
  }, async (request, reply) => {
    const { title, description, is_completed } = request.body
    const { rows } = await query(
      'update',
      `UPDATE todos SET title = coalesce($3, title), is_completed = coalesce($5, is_completed),
         description = CASE WHEN $6 THEN $4 ELSE description END
       WHERE id = $1 AND user_id = $2 RETURNING ${COLUMNS}`,
      [request.params.id, request.headers['x-user-id'], title, description, is_completed, description !== undefined]
    )
    return one(rows, reply)
  })

  app.delete(`${path}/:id`, { schema: { headers, params } }, async (request, reply) => {
    const { rowCount } = await query(
      'delete', 'DELETE FROM todos WHERE id = $1 AND user_id = $2',
      [request.params.id, request.headers['x-user-id']]
    )
    return reply.code(rowCount ? 204 : 404).send()
  })
  return app
}

if (Number(WORKERS) > 1 && cluster.isPrimary) {
  for (let worker = 0; worker < Number(WORKERS); worker++) cluster.fork()
} else {
  await build().listen({ host: '127.0.0.1', port: Number(PORT) })
}
