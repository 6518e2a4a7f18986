-- Stands before every script. Takes away entries from the oldest end whose time is over, twice as many as come in, so
-- that the stream is never trimmed by its length. (XTRIM MINID would need Redis 6.2.)
local function trim(stream, now)
  for _, entry in ipairs(redis.call('XRANGE', stream, '-', '+', 'COUNT', 2)) do
    local over = false
    for n = 1, #entry[2], 2 do
      if entry[2][n] == 'notAfter' then over = entry[2][n + 1] < now end
    end
    if not over then return end
    redis.call('XDEL', stream, entry[1])
  end
end
