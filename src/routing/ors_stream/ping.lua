-- Asks after attempts, and takes away questions of before that nobody needs to read any more.
-- KEYS: stream. ARGV: now, number of entries to take away, their ids, fields and values of the entry. Returns its id.
local old = tonumber(ARGV[2])
for n = 3, 2 + old do redis.call('XDEL', KEYS[1], ARGV[n]) end
local id = redis.call('XADD', KEYS[1], '*', unpack(ARGV, 3 + old))
trim(KEYS[1], ARGV[1])
return id
