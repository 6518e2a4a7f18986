-- Captcha tokens that came with a booking: none comes with a second one. Only a hash is kept. Row numbers rise
-- with time, so old ones are found at the beginning without an index of their own.
CREATE TABLE captcha_tokens (
    id INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    token BLOB NOT NULL,
    at INTEGER NOT NULL,
    UNIQUE (tenant, token)
);
