#!lua flags=allow-oom
-- Trims some channels of which something is too old, and forgets those of which nothing is left.
-- KEYS: log, index, names, expiry, ends.
-- ARGV: now, channels at a time, ends to remember, what keys of streams and of channels begin with,
-- how long an empty channel is remembered.
local now, batch, remembered = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local idle = tonumber(ARGV[6])
local function text(number) return string.format('%.0f', number) end

local function forget(name)
  local key = ARGV[5] .. name
  local known = redis.call('HMGET', key, 'last', 'trimtime')
  local log = redis.call('HMGET', KEYS[1], 'floor', 'floortime')
  if tonumber(known[1] or 0) > tonumber(log[1] or 0) then
    redis.call('HSET', KEYS[1], 'floor', known[1], 'floortime',
      text(math.max(tonumber(known[2] or 0), tonumber(log[2] or 0))))
  end
  redis.call('UNLINK', key, ARGV[4] .. name)
  redis.call('ZREM', KEYS[2], name)
  redis.call('ZREM', KEYS[3], name)
  redis.call('ZREM', KEYS[4], name)
  redis.call('ZREM', KEYS[5], name)
end

local budget = 10000
local names = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', text(now), 'LIMIT', 0, batch)
for _, name in ipairs(names) do
  local stream, key = ARGV[4] .. name, ARGV[5] .. name
  local channel = redis.call('HMGET', key, 'count', 'bytes', 'oldest', 'age', 'end', 'last',
    'trimtime')
  local count, bytes = tonumber(channel[1] or 0), tonumber(channel[2] or 0)
  local oldest, age = tonumber(channel[3] or 0), tonumber(channel[4] or 0)
  local trimmed, trimmed_time
  while count > 0 and now - oldest >= age and budget > 0 do
    local from = trimmed and '(' .. trimmed or '-'
    local entries = redis.call('XRANGE', stream, from, '+', 'COUNT', 64)
    budget = budget - 64
    if #entries == 0 then count, bytes = 0, 0 end
    for _, entry in ipairs(entries) do
      oldest = tonumber(entry[2][2])
      if now - oldest < age then break end
      trimmed, trimmed_time = entry[1], entry[2][2]
      count = count - 1
      bytes = bytes - tonumber(entry[2][4])
    end
  end
  if trimmed then
    local mark = tonumber(string.match(trimmed, '^%d+'))
    redis.call('XTRIM', stream, 'MINID', '=', text(mark + 1))
    redis.call('HSET', key, 'trim', text(mark), 'trimtime', trimmed_time)
  end
  if count > 0 then
    local due = text(oldest + age)
    redis.call('HSET', key, 'count', text(count), 'bytes', text(bytes), 'oldest', text(oldest),
      'due', due)
    redis.call('ZADD', KEYS[4], due, name)
  elseif channel[5] then
    -- Who comes late is told that the channel has ended.
    redis.call('HSET', key, 'count', '0', 'bytes', '0')
    redis.call('UNLINK', stream)
    redis.call('ZREM', KEYS[4], name)
    redis.call('ZADD', KEYS[5], channel[6], name)
  else
    local due = tonumber(trimmed_time or channel[7] or 0) + age + idle
    if due <= now then
      forget(name)
    else
      redis.call('HSET', key, 'count', '0', 'bytes', '0', 'due', text(due))
      redis.call('ZADD', KEYS[4], text(due), name)
    end
  end
end
local surplus = redis.call('ZCARD', KEYS[5]) - remembered
if surplus > 0 then
  for _, name in ipairs(redis.call('ZRANGE', KEYS[5], 0, math.min(surplus, batch) - 1)) do
    forget(name)
  end
end
return (#names == batch or surplus > batch) and 1 or 0
