-- Accounts of users whom the service knows by itself. `password` is a hash with its parameters and salt, as text.
-- `membership` says roles and lines of business, as JSON.
CREATE TABLE accounts (
    name text PRIMARY KEY,
    tenant bytea NOT NULL,
    password text NOT NULL,
    membership text NOT NULL,
    created_at bigint NOT NULL
);

-- Users who have logged in. Only a keyed hash of the token is kept. `sealed` is what the provider of the user gave, for
-- this service alone to read.
CREATE TABLE sessions (
    token bytea PRIMARY KEY,
    user_name text NOT NULL,
    tenant bytea NOT NULL,
    membership text NOT NULL,
    created_at bigint NOT NULL,
    used_at bigint NOT NULL,
    checked_at bigint NOT NULL,
    sealed bytea
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);

-- How many a user has, and which was used least lately.
CREATE INDEX sessions_of_user ON sessions (user_name, used_at);

-- What nobody uses any more.
CREATE INDEX sessions_used ON sessions (used_at);
