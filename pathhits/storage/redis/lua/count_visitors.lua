-- Counts the visitors in each of some sketches, whichever of the two forms a sketch has.
--
-- KEYS  the sketches (set of hashes while small and exact, HyperLogLog when large)
-- ARGV  none
-- Returns {n, ...} in the order of KEYS; 0 for a sketch that is gone.

local counts = {}
for i, key in ipairs(KEYS) do
  if redis.call('TYPE', key).ok == 'set' then
    counts[i] = redis.call('SCARD', key)
  else
    local count = redis.pcall('PFCOUNT', key)
    counts[i] = type(count) == 'number' and count or 0
  end
end
return counts
