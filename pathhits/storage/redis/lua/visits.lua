-- Visits, for the scripts that include this file: turns the hits of one visitor into visits, bounces and seconds.
--
-- KEYS  none of its own
-- ARGV  read_stay(at) reads a stay from ARGV[at] on: n, n times an id of the visitor in the order of looking up, the
--       index of the one it belongs under, k, k times a step: moment (ms), age of the page (ms; "" for a hit, else
--       a beacon that says when a page was left), m, m times a mark and an item: what the step showed, and whether
--       it counts: "+" yes, "-" no, "?grant" when that view was let pass, else the index of a view of this call
-- Returns read_stay: the stay and the index of its last argument; attend: the id the visitor is now found under, and
--       the moment of his last hit (ms), nil where there was none.
-- Layout: <prefix><id> string, JSON: v, his visits that hits may still belong to, the oldest first, each {first hit,
--       last sign, hits, hour it counts in}; s, views with the time they had, each {item, hour, begin, end (s), timed};
--       o, whether the newest of them goes on; i, items viewed in the newest visit; h, last hit. Moments are ms.
--
-- Gaps of at most the timeout make a visit, whatever the order hits come in: a late one may join two visits, and then
-- corrects what they counted in the hour they counted it in. Time is only ever added by what comes in order.

-- Visits of one visitor that late hits are still sorted into; what is older than all of them changes nothing.
local MOST_VISITS = 32
-- Views whose time a late hit in between may still cut short, and items of one visit that are told apart.
local MOST_SPANS, MOST_ITEMS = 16, 200

local function read_stay(at)
  local count = tonumber(ARGV[at])
  local stay = {ids = {}, home = tonumber(ARGV[at + count + 1]), steps = {}}
  for i = 1, count do stay.ids[i] = ARGV[at + i] end
  at = at + count + 2
  for i = 1, tonumber(ARGV[at]) do
    local step = {moment = tonumber(ARGV[at + 1]), age = tonumber(ARGV[at + 2]), shown = {}}
    local shown = tonumber(ARGV[at + 3])
    for j = 1, shown do step.shown[j] = {ARGV[at + 2 + 2 * j], ARGV[at + 3 + 2 * j]} end
    stay.steps[i] = step
    at = at + 3 + 2 * shown
  end
  return stay, at
end

local function second_of(moment) return math.floor(moment / 1000) end
local function hour_of(moment) return math.floor(moment / 3600000) end

local function is_state(state)
  return type(state) == 'table' and type(state.v) == 'table' and type(state.s) == 'table' and type(state.i) == 'table'
    and type(state.o) == 'number' and type(state.n) == 'number' and type(state.h) == 'number'
end

-- What is known of the visitor, and the id it is kept under from now on.
local function look_up(prefix, stay)
  local keys = {}
  for i, id in ipairs(stay.ids) do keys[i] = prefix .. id end
  local found = redis.call('MGET', unpack(keys))
  for i = 1, #keys do
    local done, state = pcall(cjson.decode, found[i] or '')
    if done and is_state(state) then
      if i <= stay.home then return state, stay.ids[i] end
      redis.call('DEL', keys[i])
      return state, stay.ids[stay.home], stay.ids[i]
    end
  end
  return {v = {}, s = {}, o = 0, i = {}, n = 0, h = 0}, stay.ids[stay.home]
end

-- The visit before its first hit: where a hit at `moment` goes, and whether it is the beginning of a new one.
local function place(visits, moment, timeout)
  local at = #visits
  while at > 0 and moment < visits[at][1] - timeout do at = at - 1 end
  return at, at == 0 or moment > visits[at][2] + timeout
end

-- A late hit that reaches back to the visit before makes one of the two.
local function join(visits, at, timeout, tally)
  local before, visit = visits[at - 1], visits[at]
  if not before or visit[1] > before[2] + timeout then return end
  tally('visits', '', visit[4], -1)
  if before[3] == 1 then tally('bounces', '', before[4], -1) end
  before[2], before[3] = math.max(before[2], visit[2]), before[3] + visit[3]
  table.remove(visits, at)
end

-- Time that passed on the newest visit, and on the view that goes on.
local function pass(state, moment, tally)
  local visit = state.v[#state.v]
  local from, to = second_of(visit[2]), second_of(moment)
  if to > from then tally('seconds', '', visit[4], to - from) end
  visit[2] = moment
  if state.o == 0 then return end
  local span = state.s[#state.s]
  if to > span[4] then tally('seconds', span[1], span[2], to - span[4]) end
  if span[5] == 0 then tally('timed', span[1], span[2], 1) end
  span[4], span[5] = math.max(to, span[4]), 1
end

-- A late hit in the middle of a view's time: it had ended there.
local function cut_short(state, moment, tally)
  local second = second_of(moment)
  for at, span in ipairs(state.s) do
    if moment >= span[3] and second < span[4] then
      tally('seconds', span[1], span[2], second - span[4])
      span[4] = second
      if at == #state.s then state.o = 0 end
    end
  end
end

-- What a step showed: items whose view counts, and those whose view was refused.
local function verdicts(step, judged)
  local counted, refused = {}, {}
  for _, shown in ipairs(step.shown) do
    local mark, item = shown[1], shown[2]
    if judged(mark) then counted[#counted + 1] = item else refused[item] = true end
  end
  return counted, refused
end

-- The view that begins with the newest hit, or goes on because the rules refused to count its reload.
local function open_view(state, moment, counted, refused)
  if counted[1] then
    state.s[#state.s + 1] = {counted[1], hour_of(moment), moment, second_of(moment), 0}
    if #state.s > MOST_SPANS then table.remove(state.s, 1) end
    state.o = 1
  elseif state.o == 1 and not refused[state.s[#state.s][1]] then
    state.o = 0
  end
end

local function count_items(state, moment, counted, is_first, is_newest, tally)
  for _, item in ipairs(counted) do
    if is_newest and not state.i[item] and state.n < MOST_ITEMS then
      state.i[item], state.n = 1, state.n + 1
      tally('visits', item, hour_of(moment), 1)
    elseif is_first and not is_newest then
      tally('visits', item, hour_of(moment), 1)
    end
  end
end

local function hit(state, step, timeout, judged, tally)
  local moment, visits = step.moment, state.v
  local at, is_first = place(visits, moment, timeout)
  if at == 0 and #visits >= MOST_VISITS then return end
  local counted, refused = verdicts(step, judged)
  local is_newest = at == #visits
  local is_late = not is_newest or (not is_first and moment < visits[at][2])
  if is_first then
    table.insert(visits, at + 1, {moment, moment, 1, hour_of(moment)})
    tally('visits', '', hour_of(moment), 1)
    tally('bounces', '', hour_of(moment), 1)
    if is_newest then state.o, state.i, state.n = 0, {}, 0 end
    if #visits > MOST_VISITS then table.remove(visits, 1) end
  else
    local visit = visits[at]
    if visit[3] == 1 then tally('bounces', '', visit[4], -1) end
    visit[3] = visit[3] + 1
    if is_late then
      cut_short(state, moment, tally)
      visit[1], visit[2] = math.min(visit[1], moment), math.max(visit[2], moment)
      join(visits, at, timeout, tally)
    else
      pass(state, moment, tally)
    end
  end
  count_items(state, moment, counted, is_first, is_newest, tally)
  if not is_late then open_view(state, moment, counted, refused) end
  state.h = math.max(state.h, moment)
end

-- A page was left: its time counts if no newer page was shown since, which is when most of its age lies after the
-- last hit. It is no hit, so a bounce stays one.
local function left(state, step, timeout, tally)
  local visit = state.v[#state.v]
  if not visit or step.moment < visit[2] or 2 * (step.moment - state.h) < step.age then return end
  pass(state, math.min(step.moment, visit[2] + timeout), tally)
end

local function attend(prefix, ttl, timeout, stay, judged, tally)
  local state, id, old = look_up(prefix, stay)
  for _, step in ipairs(stay.steps) do
    if step.age then left(state, step, timeout, tally) else hit(state, step, timeout, judged, tally) end
  end
  if #state.v == 0 then return end
  redis.call('SET', prefix .. id, cjson.encode(state), 'EX', ttl)
  return id, state.h, old
end
