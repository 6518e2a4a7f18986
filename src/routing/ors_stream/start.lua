-- Enters an attempt if it is higher than any before it and the callback is not closed.
-- KEYS: stream, register. ARGV: attempt, life of the register in ms, now, notAfter, fields and values of the entry.
-- Returns 1 entered, 0 it had been, -1 closed. Running it twice enters once.
local held = redis.call('GET', KEYS[2])
if held == 'closed' then return -1 end
local highest = held and tonumber(string.match(held, '^%d+')) or 0
if tonumber(ARGV[1]) <= highest then return 0 end
local id = redis.call('XADD', KEYS[1], '*', unpack(ARGV, 5))
redis.call('SET', KEYS[2], ARGV[1] .. ' ' .. id .. ' ' .. ARGV[4], 'PX', ARGV[2])
trim(KEYS[1], ARGV[3])
return 1
