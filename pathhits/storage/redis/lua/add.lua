-- Adds one batch to the open generation, once, with its events, the visitors it saw to their sketches, judges its
-- views, and sorts its hits into visits.
--
-- KEYS  1 open (hash: id, run_id, events)   2 sealed (zset of generation ids)   3 client (string: last sequence)
--       4 active (zset of visitors by second of their last hit)
-- ARGV  1 sequence            2 run_id of the server the batch was first sent to, "" when never sent
--       3 id for a generation that may have to be born    4 now (s)     5 fields at which a generation is full
--       6 TTL of client (s)   7 TTL of sketches (s)   8 members at which a sketch stops being an exact set
--       9 prefix of generation keys   10 prefix of rule keys   11 events, or kB of them, that fill a generation
--       12 prefix of visit keys   13 timeout of a visit (ms)   14 TTL of visits (s)   15 seconds a visitor is active
--       16 seconds for which the key of an event is remembered
--       then n, n times: hour, field, amount; then r, r times a trait: field, amount; then m, m times: sketch key, k, k times a member; then v, v times a
--       view: hour, counter field, refusal field without its reason, event ("" for none), and the rest as judge
--       (rules.lua) takes it; then t, t times an event of the app: hour, event, o, o times a hash of its key, k,
--       k times field, amount; then e, e times an event (a JSON object); then s, s times a stay as visits.lua takes it
-- Returns {status, run_id, {field, error, ...}, {reason, ...}}: status is "added", "duplicate" (was there already) or
--       "uncertain" (another server than at the first try: applied and rolled back, or never applied; nothing was
--       changed); the reasons are those of the views, "" for one that counts, and only of a batch that was added.
-- Layout: <prefix><id> hash of field to number; <prefix><id>:traits hash likewise; <prefix><id>:hours set;
--       <prefix><id>:events list of JSON arrays, one a call, of the events of views that count and the others. A generation is born with its id under one run_id and
--       closed when the server's run_id is another, so a rollback can never reopen one that SQL has.

-- include rules
-- include visits

local open, sealed, client, active = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local sequence, first_run_id, fresh, now = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local full, client_ttl, sketch_ttl, exact = tonumber(ARGV[5]), ARGV[6], ARGV[7], tonumber(ARGV[8])
local prefix = ARGV[9]
local rules = ARGV[10]
local full_events = tonumber(ARGV[11])
local visits, visit_timeout, visit_ttl, active_for = ARGV[12], tonumber(ARGV[13]), ARGV[14], tonumber(ARGV[15])
local once_ttl = ARGV[16]
local at = 17

local function server_run_id()
  local info = redis.pcall('INFO', 'server')
  if type(info) == 'table' then return 'unknown' end
  return string.match(info, 'run_id:(%x+)') or 'unknown'
end

-- Whether the open generation can take more: born under this run_id, not full, and what it should be.
local function is_usable(id, born_under, logged, run_id)
  if born_under ~= run_id or (tonumber(logged or 0) or full_events) >= full_events then return false end
  local fields, hours = redis.pcall('HLEN', prefix .. id), redis.pcall('SCARD', prefix .. id .. ':hours')
  local entries, traits = redis.pcall('LLEN', prefix .. id .. ':events'), redis.pcall('HLEN', prefix .. id .. ':traits')
  if type(fields) ~= 'number' or type(hours) ~= 'number' then return false end
  return type(entries) == 'number' and type(traits) == 'number' and fields + traits < full
end

local function see(key, members)
  if redis.call('TYPE', key).ok == 'string' then
    redis.call('PFADD', key, unpack(members))
  else
    redis.call('SADD', key, unpack(members))
    if redis.call('SCARD', key) > exact then
      local all = redis.call('SMEMBERS', key)
      redis.call('DEL', key)
      for first = 1, #all, 1000 do
        redis.call('PFADD', key, unpack(all, first, math.min(first + 999, #all)))
      end
    end
  end
  redis.call('EXPIRE', key, sketch_ttl)
end

local run_id = server_run_id()
local last = redis.call('GET', client)
if last and tonumber(last) >= sequence then return {'duplicate', run_id, {}, {}} end
if first_run_id ~= '' and first_run_id ~= run_id then return {'uncertain', run_id, {}, {}} end

-- Whatever can raise is asked before the first write, or a resend would find a sequence that was not applied.
local found = redis.call('HMGET', open, 'id', 'run_id', 'events')
redis.call('ZCARD', sealed)
local id = found[1]
local usable = id and is_usable(id, found[2], found[3], run_id)

-- The first write: a full, read-only or broken Redis refuses here, before anything has changed.
redis.call('SET', client, ARGV[1], 'EX', client_ttl)
if not usable then
  if id then redis.call('ZADD', sealed, now, id) end
  id = fresh
  redis.call('HSET', open, 'id', id, 'run_id', run_id, 'events', 0)
end
local generation = prefix .. id
local rejected = {}
local hours = {}
local events = {}
local reasons = {}

local function reject(what, problem)
  rejected[#rejected + 1] = what
  rejected[#rejected + 1] = type(problem) == 'table' and problem.err or tostring(problem)
end

local function count(hour, field, amount)
  local answer = redis.pcall('HINCRBY', generation, field, amount)
  if type(answer) == 'table' then
    reject(field, answer)
  elseif not hours[hour] then
    hours[hour] = true
    redis.call('SADD', generation .. ':hours', hour)
  end
end

for _ = 1, tonumber(ARGV[at]) do
  count(ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
  at = at + 3
end

at = at + 1
for _ = 1, tonumber(ARGV[at]) do
  local answer = redis.pcall('HINCRBY', generation .. ':traits', ARGV[at + 1], ARGV[at + 2])
  if type(answer) == 'table' then reject(ARGV[at + 1], answer) end
  at = at + 2
end

at = at + 1
for _ = 1, tonumber(ARGV[at]) do
  local key, size = ARGV[at + 1], tonumber(ARGV[at + 2])
  local members = {}
  for i = 1, size do members[i] = ARGV[at + 2 + i] end
  local done, problem = pcall(see, key, members)
  if not done then reject(key, problem) end
  at = at + 2 + size
end

at = at + 1
for number = 1, tonumber(ARGV[at]) do
  local hour, field, refused, event = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local view
  view, at = read_view(at + 5)
  local done, reason = pcall(judge, rules, view)
  if not done then
    reject(field, reason)
    reasons[number] = 'rejected'
  elseif reason then
    count(hour, refused .. reason, 1)
    reasons[number] = reason
  else
    count(hour, field, 1)
    reasons[number] = ''
    if event ~= '' then events[#events + 1] = event end
  end
end

at = at + 1
for _ = 1, tonumber(ARGV[at]) do
  local hour, event, size = ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  local hashes = {}
  for i = 1, size do hashes[i] = ARGV[at + 3 + i] end
  at = at + 4 + size
  local amounts = tonumber(ARGV[at])
  if not is_known(rules, hashes, once_ttl) then
    for i = at + 1, at + 2 * amounts, 2 do count(hour, ARGV[i], ARGV[i + 1]) end
    events[#events + 1] = event
  end
  at = at + 2 * amounts
end

at = at + 1
for i = 1, tonumber(ARGV[at]) do events[#events + 1] = ARGV[at + i] end
if #events > 0 then
  local text = '[' .. table.concat(events, ',') .. ']'
  redis.call('RPUSH', generation .. ':events', text)
  -- Kilobytes where there are more of them, so that no generation is too large for a transaction.
  redis.call('HINCRBY', open, 'events', math.max(#events, math.ceil(#text / 1024)))
end
at = at + tonumber(ARGV[at])

-- Whether a view that a step showed counts.
local function judged(mark)
  if mark == '+' or mark == '-' then return mark == '+' end
  if string.sub(mark, 1, 1) == '?' then
    return redis.call('EXISTS', rules .. 'granted:' .. string.sub(mark, 2)) == 1
  end
  return reasons[tonumber(mark)] == ''
end

-- Many visitors add to the same few sums: these are written once.
local sums, hour_of_sum = {}, {}
local function tally(counter, subject, hour, amount)
  local field = string.format('%d:%s:%s', hour, counter, subject)
  sums[field], hour_of_sum[field] = (sums[field] or 0) + amount, hour
end

local seen, gone = {}, {}
at = at + 1
for _ = 1, tonumber(ARGV[at]) do
  local stay
  stay, at = read_stay(at + 1)
  local done, id, last, old = pcall(attend, visits, visit_ttl, visit_timeout, stay, judged, tally)
  if not done then
    reject(visits, id)
  elseif id then
    seen[#seen + 1], seen[#seen + 2] = math.floor(last / 1000), id
    gone[#gone + 1] = old
  end
end
for field, amount in pairs(sums) do
  if amount ~= 0 then count(string.format('%d', hour_of_sum[field]), field, amount) end
end
if #gone > 0 then redis.pcall('ZREM', active, unpack(gone)) end
if #seen > 0 then
  redis.pcall('ZADD', active, 'GT', unpack(seen))
  redis.pcall('ZREMRANGEBYSCORE', active, '-inf', tonumber(now) - active_for)
  redis.pcall('EXPIRE', active, active_for)
end

return {'added', run_id, rejected, reasons}
