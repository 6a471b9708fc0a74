-- The grid on which scheduled jobs run, for the scripts that include this file.
--
-- KEYS  none of its own
-- ARGV  none of its own
-- Returns to_ms: seconds as text, to the millisecond; next_point: the next multiple of a period (s) after a moment (s).

local function to_ms(seconds) return string.format('%.3f', seconds) end

local function next_point(moment, period)
  -- A moment that is a multiple of 0.2 may come out a hair below it: its own point would be the next one once more.
  local hair = math.min(0.00001, 0.0005 / period)
  return to_ms((math.floor(moment / period + hair) + 1) * period)
end
