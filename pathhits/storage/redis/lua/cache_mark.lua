-- What the groups of a cached value (the keys from the third on) are just now, as one text; nil when one is not there.
local function mark_of(keys)
  local tokens = {}
  for i = 3, #keys do
    local token = redis.call('GET', keys[i])
    if not token then return nil end
    tokens[#tokens + 1] = token
  end
  return table.concat(tokens, ' ')
end
