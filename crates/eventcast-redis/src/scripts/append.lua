#!lua
-- Appends to one channel: all bodies or none.
-- KEYS: log, stream, channel, index, names, expiry; then for each body the key of its idempotency
-- key, or the channel's where it has none.
-- ARGV: epoch, time, channel, count, bytes, age, window, topic, touch; then for each body what it
-- is (plain, keyed, end), its charge and its bytes.
local BODIES = 9
local function text(number) return string.format('%.0f', number) end

local log = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'time', 'floor', 'floortime')
if log[1] ~= ARGV[1] then return {'fenced'} end
local channel = redis.call('HMGET', KEYS[3], 'last', 'count', 'bytes', 'oldest', 'due', 'end')
local sequence = tonumber(log[2])

-- What is to be stored, before anything is.
local answer, fresh, given = {'stored'}, {}, {}
for body = 1, (#ARGV - BODIES) / 3 do
  local at = BODIES + 3 * (body - 1)
  local kind, key = ARGV[at + 1], KEYS[6 + body]
  local earlier
  if kind == 'keyed' then earlier = given[key] or redis.call('GET', key) end
  if not earlier then
    sequence = sequence + 1
    earlier = text(sequence)
    fresh[#fresh + 1] = {earlier, kind, key, ARGV[at + 2], ARGV[at + 3]}
    if kind == 'keyed' then given[key] = earlier end
  end
  answer[#answer + 1] = earlier
end
if #fresh == 0 then
  -- The replicas are asked for what this connection wrote last.
  if ARGV[9] == '1' then redis.call('HSET', KEYS[1], 'epoch', log[1]) end
  return answer
end
if channel[6] then return {'completed'} end
if sequence >= 9007199254740992 then return redis.error_reply('ERR the sequences are used up') end

local time = math.max(tonumber(ARGV[2]), tonumber(log[3]))
local count = tonumber(channel[2] or 0)
local bytes = tonumber(channel[3] or 0)
local oldest = tonumber(channel[4] or 0)
local lengths, bodies = {}, {}
for index, record in ipairs(fresh) do
  local id, kind, key, charge, body = unpack(record)
  if kind == 'end' then
    redis.call('HSET', KEYS[3], 'end', id, 'endtime', text(time), 'endbody', body)
  else
    redis.call('XADD', KEYS[2], id .. '-0', 't', text(time), 'c', charge, 'b', body)
    if count == 0 then oldest = time end
    count = count + 1
    bytes = bytes + tonumber(charge)
  end
  if kind == 'keyed' then redis.call('SET', key, id, 'PX', ARGV[7]) end
  lengths[index] = #body
  bodies[index] = body
end
redis.call('HSET', KEYS[1], 'seq', text(sequence), 'time', text(time))

-- What retention no longer covers. The newest is kept whatever its size.
local most, limit, age = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local function over()
  return count > most or (bytes > limit and count > 1) or (count > 0 and time - oldest >= age)
end
local trimmed, trimmed_time
while over() do
  local ask = math.min(math.max(count - most + 1, 2), 64)
  local from = trimmed and '(' .. trimmed or '-'
  local entries = redis.call('XRANGE', KEYS[2], from, '+', 'COUNT', ask)
  if #entries == 0 then
    count, bytes = 0, 0
    break
  end
  for _, entry in ipairs(entries) do
    oldest = tonumber(entry[2][2])
    if not over() then break end
    trimmed, trimmed_time = entry[1], entry[2][2]
    count = count - 1
    bytes = bytes - tonumber(entry[2][4])
  end
end
if not channel[1] then
  redis.call('HSET', KEYS[3], 'trim', log[4], 'trimtime', log[5])
  redis.call('ZADD', KEYS[5], 0, ARGV[3])
end
if trimmed then
  local mark = tonumber(string.match(trimmed, '^%d+'))
  redis.call('XTRIM', KEYS[2], 'MINID', '=', text(mark + 1))
  redis.call('HSET', KEYS[3], 'trim', text(mark), 'trimtime', trimmed_time)
end
local due = count > 0 and oldest + age or time
if not channel[5] or due < tonumber(channel[5]) then
  redis.call('ZADD', KEYS[6], text(due), ARGV[3])
  redis.call('HSET', KEYS[3], 'due', text(due))
end
redis.call('HSET', KEYS[3], 'last', text(sequence), 'count', text(count), 'bytes', text(bytes),
  'oldest', text(oldest), 'age', ARGV[6])
redis.call('ZADD', KEYS[4], text(sequence), ARGV[3])
redis.call('PUBLISH', ARGV[8], 'R ' .. log[1] .. ' ' .. fresh[1][1] .. ' ' .. text(time) .. ' '
  .. table.concat(lengths, ',') .. '\n' .. ARGV[3] .. '\n' .. table.concat(bodies))
return answer
