-- Opens a lock, but only for the one who holds it.
--
-- KEYS  1 lock (string: token of the holder)
-- ARGV  1 token
-- Returns 1 when the lock was the caller's and is now open, else 0.

if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
