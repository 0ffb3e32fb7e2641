#!lua flags=no-writes
-- Some channels whose names start so and that have a record after a sequence. Goes by names or by
-- sequences, whichever are fewer, a bounded way at a time.
-- KEYS: index, names. ARGV: prefix, after, limit, cursor (nothing at first).
local STEP = 1000
local prefix, after, limit, cursor = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local low, high = '-', '+'
if prefix ~= '' then low, high = '[' .. prefix, '(' .. prefix .. '\255' end
if cursor == '' then
  local newer = redis.call('ZCOUNT', KEYS[1], '(' .. after, '+inf')
  local alike = redis.call('ZLEXCOUNT', KEYS[2], low, high)
  cursor = newer <= alike and 's' .. after or 'n'
end
local found, seen = {}, 0
if string.sub(cursor, 1, 1) == 's' then
  local from = '(' .. string.sub(cursor, 2)
  local entries = redis.call('ZRANGEBYSCORE', KEYS[1], from, '+inf', 'WITHSCORES', 'LIMIT', 0, STEP)
  for at = 1, #entries, 2 do
    seen = seen + 1
    cursor = 's' .. entries[at + 1]
    if string.sub(entries[at], 1, #prefix) == prefix then found[#found + 1] = entries[at] end
    if #found >= limit then break end
  end
else
  if #cursor > 1 then low = '(' .. string.sub(cursor, 2) end
  local names = redis.call('ZRANGEBYLEX', KEYS[2], low, high, 'LIMIT', 0, STEP)
  for _, name in ipairs(names) do
    seen = seen + 1
    cursor = 'n' .. name
    local last = redis.call('ZSCORE', KEYS[1], name)
    if last and tonumber(last) > tonumber(after) then found[#found + 1] = name end
    if #found >= limit then break end
  end
end
if seen < STEP or #found >= limit then cursor = '' end
return {cursor, found}
