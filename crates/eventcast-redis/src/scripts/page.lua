#!lua flags=no-writes
-- Reads a page of a channel, and what there is to know of it.
-- KEYS: log, stream, channel.
-- ARGV: where to begin, where to end, at most so many, whether backwards, with the record that reaches so many bytes the last.
local log = redis.call('HMGET', KEYS[1], 'epoch', 'floor', 'floortime')
local channel = redis.call('HMGET', KEYS[3], 'trim', 'trimtime', 'last', 'end', 'endtime', 'endbody')
local command = ARGV[4] == '1' and 'XREVRANGE' or 'XRANGE'
local from, left, room = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[5])
local records, complete, step = {}, '0', 2
while left > 0 and room > 0 do
  local ask = math.min(left, step)
  local before = room
  local entries = redis.call(command, KEYS[2], from, ARGV[2], 'COUNT', ask)
  for _, entry in ipairs(entries) do
    if room <= 0 then break end
    records[#records + 1] = {entry[1], entry[2][2], entry[2][6]}
    room = room - #entry[2][6] - 64
    from = '(' .. entry[1]
  end
  left = left - #entries
  -- Small ones come many at a time, large ones one by one.
  step = (before - room) * 4 < room and math.min(step * 2, 128) or 1
  if #entries < ask and room > 0 then
    complete = '1'
    break
  end
end
if complete == '0' and #redis.call(command, KEYS[2], from, ARGV[2], 'COUNT', 1) == 0 then
  complete = '1'
end
if not channel[3] then channel[1], channel[2] = log[2], log[3] end
return {log[1] or '', channel[1] or '0', channel[2] or '0', channel[3] or '0', channel[4] or '',
  channel[5] or '0', channel[6] or '', complete, records}
