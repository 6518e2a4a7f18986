-- Accounts of users whom the service knows by itself. `password` is a hash with its parameters and salt, as text.
-- `membership` says roles and lines of business, as JSON.
CREATE TABLE accounts (
    name TEXT PRIMARY KEY,
    tenant BLOB NOT NULL,
    password TEXT NOT NULL,
    membership TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Users who have logged in. Only a keyed hash of the token is kept. `sealed` is what the provider of the user gave, for
-- this service alone to read.
CREATE TABLE sessions (
    token BLOB PRIMARY KEY,
    user_name TEXT NOT NULL,
    tenant BLOB NOT NULL,
    membership TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    checked_at INTEGER NOT NULL,
    sealed BLOB
) STRICT, WITHOUT ROWID;

-- How many a user has, and which was used least lately.
CREATE INDEX sessions_of_user ON sessions (user_name, used_at);

-- What nobody uses any more.
CREATE INDEX sessions_used ON sessions (used_at);
