-- One operation of wrk's load. Arguments: the operation, and a file with a line "user id" for each request to make.
-- `delete` makes each request once and then stops; the others begin again.
local path = "/api/v1/todos"
local json = { ["Content-Type"] = "application/json" }
local requests, at, once = {}, 0, false

local make = {
  get = function(id) return "GET", path .. "/" .. id end,
  list = function() return "GET", path .. "?limit=1000" end,
  create = function() return "POST", path, '{"title": "Buy milk", "description": "Two litres"}' end,
  update = function(id) return "PATCH", path .. "/" .. id, '{"title": "Buy oat milk", "is_completed": true}' end,
  delete = function(id) return "DELETE", path .. "/" .. id end,
}

function init(arguments)
  local operation = arguments[1]
  once = operation == "delete"
  for line in io.lines(arguments[2]) do
    local user, id = line:match("(%S+) (%S+)")
    local method, target, body = make[operation](id)
    local headers = { ["X-User-ID"] = user, ["Content-Type"] = body and json["Content-Type"] }
    requests[#requests + 1] = wrk.format(method, target, headers, body)
  end
end

function request()
  at = at + 1
  if at > #requests then
    if once then wrk.thread:stop() end
    at = 1
  end
  return requests[at]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "microseconds": %d, "errors": %d, "refused": %d, "p50": %.1f, "p99": %.1f, "max": %.1f}\n',
    summary.requests, summary.duration, errors.connect + errors.read + errors.write + errors.timeout, errors.status,
    latency:percentile(50), latency:percentile(99), latency.max
  ))
end
