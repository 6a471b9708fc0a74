-- Stores a value, but only of the one who still has the lease: a deletion since then took it away.
--
-- KEYS  1 value  2 lease  3.. groups, as in cache_take
-- ARGV  1 token of the caller  2 ms that the value is kept  3 JSON ("" to give the lease back without one)
-- Returns 1 when the value was stored, else 0.

-- include cache_mark

local lease = redis.call('GET', KEYS[2])
if not lease or string.sub(lease, 1, #ARGV[1] + 1) ~= ARGV[1] .. ' ' then return 0 end
redis.call('DEL', KEYS[2])
local mark = mark_of(KEYS)
if ARGV[3] == '' or lease ~= ARGV[1] .. ' ' .. (mark or '?') then return 0 end
redis.call('SET', KEYS[1], mark .. '\n' .. ARGV[3], 'PX', ARGV[2])
return 1
