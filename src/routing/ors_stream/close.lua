-- Closes a register: the entry of its start goes if it is still there, and whoever has read it is told.
-- KEYS: stream, register. ARGV: life in ms of a register that is not there, now, notAfter of an entry whose start is
-- not known, fields and values of the entry. Returns 1 closed, 0 it had been. Running it twice tells once.
local held = redis.call('GET', KEYS[2])
if held == 'closed' then return 0 end
local attempt, entry, not_after
if held then attempt, entry, not_after = string.match(held, '^(%d+) (%S+) (%S+)$') end
if held then
  redis.call('SET', KEYS[2], 'closed', 'KEEPTTL')
else
  redis.call('SET', KEYS[2], 'closed', 'PX', ARGV[1])
end
if entry then redis.call('XDEL', KEYS[1], entry) end
redis.call('XADD', KEYS[1], '*', 'attempt', attempt or '0', 'notAfter', not_after or ARGV[3], unpack(ARGV, 4))
trim(KEYS[1], ARGV[2])
return 1
