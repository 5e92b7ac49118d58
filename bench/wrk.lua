-- wrk's side of bench/wrk.py: sends ready-made requests and prints the result as one line of JSON.
-- Arguments: the file of requests, and the number of connections if each request is to be sent once.

local requests = {}
local at = 0
local started = 0

function setup(thread)
  thread:set("place", started)
  started = started + 1
end

local function read_piece(file)
  local length = tonumber(file:read("*l") or "")
  if not length then
    return nil
  end
  return length == 0 and "" or file:read(length)
end

-- Each request once: counts answers, and ends wrk as one does at the terminal. The last request of all has been
-- sent when all but one per connection are answered, so none needs to be sent twice.
local function end_after(count)
  local ffi = require("ffi")
  ffi.cdef("int kill(int pid, int signal); int getpid(void);")
  local answered = 0
  return function()
    answered = answered + 1
    if answered == count then
      ffi.C.kill(ffi.C.getpid(), 2)
      wrk.thread:stop()
    end
  end
end

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  local body = read_piece(file)
  local head = read_piece(file)
  while head do
    requests[#requests + 1] = head .. body
    head = read_piece(file)
  end
  file:close()
  if arguments[2] then
    response = end_after(#requests - tonumber(arguments[2]) + 1)
    at = -1 -- wrk calls request() once to look at it before it sends anything
  else
    at = place * 37 -- threads begin at different requests
  end
end

function request()
  at = at + 1
  return requests[(math.max(at, 1) - 1) % #requests + 1]
end

function done(summary, latency)
  io.write(string.format(
    'bench: {"requests": %d, "duration_us": %d, "connect": %d, "read": %d, "write": %d, "status": %d, ' ..
    '"timeout": %d, "p50": %f, "p90": %f, "p99": %f, "max": %f}\n',
    summary.requests, summary.duration, summary.errors.connect, summary.errors.read, summary.errors.write,
    summary.errors.status, summary.errors.timeout,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max
  ))
end
