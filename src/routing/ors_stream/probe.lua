-- Does what a hand-over needs: writes beside the stream, reads it back, and looks at the stream.
-- KEYS: stream, key of the probe. ARGV: any text, milliseconds that it is kept. Returns the length of the stream.
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return redis.error_reply('ERR what was written is not read back') end
return redis.call('XLEN', KEYS[1])
