-- Gives a cached value, or the lease to make it to one caller at a time.
--
-- KEYS  1 value (string: mark of its groups, a line feed, JSON)  2 lease (string: token, a blank, mark of the groups)
--       3.. groups (string: a token that is another one after each deletion)
-- ARGV  1 token of the caller  2 ms of a lease  3 ms that a group is kept  4 ms before its end a value is made anew
-- Returns {1, JSON} for a value, {0} when the caller has the lease, {2} when another one has it.

-- include cache_mark

local mark = mark_of(KEYS)
local lease = redis.call('GET', KEYS[2])
-- A lease from before a group was deleted is nobody's: what its holder makes is not stored.
local held = mark and lease and string.sub(lease, -#mark - 1) == ' ' .. mark
local value = mark and redis.call('GET', KEYS[1])
if value and string.sub(value, 1, #mark + 1) == mark .. '\n' then
  if held or redis.call('PTTL', KEYS[1]) > tonumber(ARGV[4]) then return {1, string.sub(value, #mark + 2)} end
elseif held then
  return {2}
end
for i = 3, #KEYS do
  redis.call('SET', KEYS[i], ARGV[1], 'NX')
  if redis.call('PTTL', KEYS[i]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[i], ARGV[3]) end
end
redis.call('SET', KEYS[2], ARGV[1] .. ' ' .. mark_of(KEYS), 'PX', ARGV[2])
return {0}
