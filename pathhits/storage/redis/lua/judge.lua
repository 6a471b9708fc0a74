-- Judges one view by its rules and records it, for a caller who wants to know at once.
--
-- KEYS  none
-- ARGV  1 prefix of rule keys, then the view as read_view (rules.lua) takes it
-- Returns the reason it was refused for, "" when it counts.

-- include rules

local view = read_view(2)
return judge(ARGV[1], view) or ''
