#!lua flags=allow-oom
-- Lets a node publish on a new connection: proves that nothing acknowledged was lost, or starts an
-- epoch, once for all nodes.
-- KEYS: log.
-- ARGV: this run of the server; whether its settings prove that a restart loses nothing; whether it
-- has replicas; what the node knows (epoch or nothing, highest sequence, run, lineage, time); an
-- epoch to start; the topic; how many epochs are remembered.
-- A lineage is text: for each epoch `epoch:first:last,`, the newest without last and comma.
-- Runs are text: for each, oldest first, `run=sequence at its start,`.
local LEAP, RUNS = 4294967296, 16
local function text(number) return string.format('%.0f', number) end

local run, proves, replicated = ARGV[1], ARGV[2] == '1', ARGV[3] == '1'
local mine, highest, my_run, my_lineage = ARGV[4], tonumber(ARGV[5]), ARGV[6], ARGV[7]
local fresh, topic, epochs = ARGV[9], ARGV[10], tonumber(ARGV[11])
local log = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'lineage', 'runs', 'floor', 'time',
  'replicated')
local epoch, sequence, lineage, runs, floor, time = log[1], tonumber(log[2] or 0), log[3], log[4],
  log[5], math.max(tonumber(log[6] or 0), tonumber(ARGV[8]))

-- The epochs of the node, of which nothing is here.
local function lost() return (string.gsub(my_lineage, '(%d+:%d+:)%d*,?', '%10,')) end

local function write()
  local _, number = string.gsub(lineage, ',', ',')
  while number >= epochs do
    lineage = string.gsub(lineage, '^[^,]*,', '', 1)
    number = number - 1
  end
  _, number = string.gsub(runs, ',', ',')
  while number > RUNS do
    runs = string.gsub(runs, '^[^,]*,', '', 1)
    number = number - 1
  end
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'seq', text(sequence), 'lineage', lineage, 'runs',
    runs, 'floor', floor, 'time', text(time))
end

local function fork(last, before)
  local first = math.max(sequence, highest) + LEAP
  if first >= 9007199254740992 - LEAP then error('the sequences are used up') end
  epoch = fresh
  sequence = first - 1
  lineage = before .. text(last) .. ',' .. fresh .. ':' .. text(first) .. ':'
  runs = run .. '=' .. text(sequence) .. ','
end

if not epoch then
  floor = '0'
  if mine == '' then
    epoch = fresh
    lineage = fresh .. ':1:'
    runs = run .. '=0,'
  else
    -- All is gone: the last of the node's own epochs ends with 0 too.
    fork(0, (string.gsub(lost(), '0,$', '', 1)))
    floor = text(sequence)
  end
  write()
  redis.call('HSET', KEYS[1], 'floortime', text(time))
else
  local adopted = string.match(runs, '([^=,]+)=%d+,$') == run
  local here = mine ~= '' and string.find(',' .. lineage, ',' .. mine .. ':', 1, true)
  local sound, last = highest <= sequence, sequence
  if mine == '' then
    sound = true
  elseif not here then
    sound = false
  elseif mine == epoch and my_run ~= run then
    -- Each run since the node's has to have begun with all that the node knows.
    local since = false
    for name, start in string.gmatch(runs, '([^=]+)=(%d+),') do
      if since then last = math.min(last, tonumber(start)) end
      if name == my_run then since = true end
    end
    if not since then
      -- Too long ago to be known: only what was there before all of these runs is the same.
      for start in string.gmatch(runs, '=(%d+),') do last = math.min(last, tonumber(start)) end
    end
    if not since or last < highest then sound = false end
  end
  if not adopted then sound = sound and proves and not log[7] end
  if not sound then
    fork(last, (mine ~= '' and not here and lost() or '') .. lineage)
    write()
    redis.call('PUBLISH', topic, 'F ' .. epoch .. '\n')
  elseif not adopted then
    runs = runs .. run .. '=' .. text(sequence) .. ','
    write()
  end
end
if replicated then redis.call('HSET', KEYS[1], 'replicated', '1') end
return {epoch, text(sequence), lineage, floor, text(time)}
