-- The abuse rules, for the scripts that include this file: decide on one view and record it, in one step.
--
-- KEYS  none of its own
-- ARGV  read_view(at) reads a view from ARGV[at] on: moment (s), day, item, grant ("" for none), cooldown (s),
--       views a session, session (s), views a day, once a day (0 or 1), n, n times an id of the viewer
-- Returns read_view: the view and the index of its last argument; judge: nil when it counts, else the reason.
-- Layout: <prefix>cooldown:<viewer>:<item> string, <prefix>session:<viewer>:<item> hash of start and views,
--       <prefix>daily:<viewer>:<day> string, <prefix>viewed:<viewer>:<item>:<day> string, <prefix>granted:<grant>
--       string, <prefix>once:<hash> string. A viewer is looked up under all ids (this salt period's and the last one's), recorded under the first.

local TWO_DAYS = 172800
-- What is remembered is kept so much longer (s) than its rule says: a view may be judged that late, after one that
-- was later. The moments of the views decide.
local LATE = 60

local function read_view(at)
  local view = {
    moment = tonumber(ARGV[at]), day = ARGV[at + 1], item = ARGV[at + 2], grant = ARGV[at + 3],
    cooldown = tonumber(ARGV[at + 4]), per_session = tonumber(ARGV[at + 5]), session = tonumber(ARGV[at + 6]),
    per_day = tonumber(ARGV[at + 7]), once_per_day = ARGV[at + 8] == '1', viewers = {},
  }
  local count = tonumber(ARGV[at + 9])
  for i = 1, count do view.viewers[i] = ARGV[at + 9 + i] end
  return view, at + 9 + count
end

-- The first id under which the key of a rule exists, and what it holds; nil when there is none.
local function look_up(prefix, view, key, command, ...)
  for _, viewer in ipairs(view.viewers) do
    local found = redis.call(command, prefix .. string.format(key, viewer), ...)
    if type(found) == 'table' then found = found[1] and found end
    if found then return found end
  end
end

local function refusal(prefix, view, keys)
  if view.cooldown > 0 then
    local last = tonumber(look_up(prefix, view, keys.cooldown, 'GET') or nil)
    if last and math.abs(view.moment - last) < view.cooldown then return 'cooldown' end
    -- A view that comes late does not shorten the wait after a later one.
    view.last = math.max(view.moment, last or view.moment)
  end
  if view.once_per_day and look_up(prefix, view, keys.viewed, 'GET') then return 'already_today' end
  if view.per_session > 0 then
    local session = look_up(prefix, view, keys.session, 'HMGET', 'start', 'views')
    if session and view.moment - tonumber(session[1]) < view.session then
      if tonumber(session[2]) >= view.per_session then return 'session_limit' end
      view.begun, view.seen = session[1], tonumber(session[2])
    end
  end
  if view.per_day > 0 then
    view.today = tonumber(look_up(prefix, view, keys.daily, 'GET') or 0)
    if view.today >= view.per_day then return 'daily_limit' end
  end
end

local function record(prefix, view, keys)
  local function key(name) return prefix .. string.format(keys[name], view.viewers[1]) end
  if view.cooldown > 0 then redis.call('SET', key('cooldown'), view.last, 'EX', view.cooldown + LATE) end
  if view.once_per_day then redis.call('SET', key('viewed'), 1, 'EX', TWO_DAYS) end
  if view.per_session > 0 then
    redis.call('HSET', key('session'), 'start', view.begun or view.moment, 'views', (view.seen or 0) + 1)
    redis.call('EXPIRE', key('session'), view.session + LATE)
  end
  if view.per_day > 0 then redis.call('SET', key('daily'), view.today + 1, 'EX', TWO_DAYS) end
end

local function judge(prefix, view)
  local granted = prefix .. 'granted:' .. view.grant
  if view.grant ~= '' and redis.call('EXISTS', granted) == 1 then return nil end
  if #view.viewers > 0 then
    local item = string.gsub(view.item, '%%', '%%%%')
    local keys = {
      cooldown = 'cooldown:%s:' .. item,
      viewed = 'viewed:%s:' .. item .. ':' .. view.day,
      session = 'session:%s:' .. item,
      daily = 'daily:%s:' .. view.day,
    }
    local reason = refusal(prefix, view, keys)
    if reason then return reason end
    record(prefix, view, keys)
  end
  if view.grant ~= '' then redis.call('SET', granted, 1, 'EX', TWO_DAYS) end
  return nil
end

-- Whether an event has happened under one of these hashes of its key; from now on it has, for ttl (s).
local function is_known(prefix, hashes, ttl)
  for _, hash in ipairs(hashes) do
    if redis.call('EXISTS', prefix .. 'once:' .. hash) == 1 then return true end
  end
  if hashes[1] then redis.call('SET', prefix .. 'once:' .. hashes[1], 1, 'EX', ttl) end
  return false
end
