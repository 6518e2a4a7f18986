-- Times are epoch milliseconds. Ids are the 16 bytes of a UUID. Booleans and small codes are integers, which
-- cost no byte of their own while they are 0 or 1.

-- One row. `epoch` rises with every change of settings or keys; `probed_at` is what the health probe writes.
CREATE TABLE installation (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    epoch INTEGER NOT NULL DEFAULT 0,
    probed_at INTEGER NOT NULL DEFAULT 0
);
INSERT INTO installation (id) VALUES (1);

-- Tenants and queues have small numbers, so that callbacks and their indexes stay narrow. A row without
-- settings only lends its number: a callback was booked before the tenant's settings were put.
CREATE TABLE tenants (
    key INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    name TEXT UNIQUE,
    settings TEXT
);
CREATE TABLE queues (
    key INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (tenant, name)
);

CREATE TABLE api_keys (
    id BLOB PRIMARY KEY,
    tenant INTEGER NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    label TEXT NOT NULL,
    scopes INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) WITHOUT ROWID;

-- AUTOINCREMENT: the number of an incarnation is never used twice, or a new node would inherit callbacks
-- that it knows nothing of.
CREATE TABLE nodes (
    incarnation INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    counter INTEGER NOT NULL DEFAULT 0,
    seen_at INTEGER NOT NULL
);

-- The CHECK on the phone is the last wall behind the door's own checks.
CREATE TABLE callbacks (
    id BLOB PRIMARY KEY,
    format INTEGER NOT NULL,
    version INTEGER NOT NULL,
    tenant INTEGER NOT NULL,
    queue INTEGER NOT NULL,
    phone INTEGER NOT NULL CHECK (phone BETWEEN 1 AND 999999999999999),
    state INTEGER NOT NULL,
    hand_off INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    refusals INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    dialled INTEGER NOT NULL,
    owes_terminate INTEGER NOT NULL,
    desired_time INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    start_at INTEGER NOT NULL,
    wake_at INTEGER,
    owner INTEGER,
    ended_at INTEGER,
    slot INTEGER,
    session TEXT,
    reason TEXT,
    details INTEGER
) WITHOUT ROWID;

-- Serves the owner's list (owner = me), the claim and the sweep (owner IS NULL, or a dead one), each as one
-- range that ends where nothing is due: a backlog that waits for routing is never read through. The state
-- rides along so that the sizes of the work lists are counted from the index alone.
CREATE INDEX callbacks_work ON callbacks (owner, wake_at, state) WHERE wake_at IS NOT NULL;

-- Serves the purge: settled callbacks by age. Empty of everything that still has work to do.
CREATE INDEX callbacks_settled ON callbacks (desired_time) WHERE wake_at IS NULL;

-- Rare members and user data, each a byte for the codec and the packed text. A table with row numbers,
-- because it packs values of kilobytes into pages far better than one without.
CREATE TABLE details (
    id INTEGER PRIMARY KEY,
    options BLOB,
    user_data BLOB
);

-- One narrow row per version. `implied` holds the states that a step passed through, as octal digits.
CREATE TABLE history (
    callback BLOB NOT NULL,
    version INTEGER NOT NULL,
    at INTEGER NOT NULL,
    cause INTEGER NOT NULL,
    state INTEGER NOT NULL,
    implied INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    PRIMARY KEY (callback, version)
) WITHOUT ROWID;

-- Places taken per slot. No CHECK: a capacity that was lowered later must not make a give-back fail.
CREATE TABLE slots (
    queue INTEGER NOT NULL,
    start INTEGER NOT NULL,
    booked INTEGER NOT NULL,
    PRIMARY KEY (queue, start)
) WITHOUT ROWID;

-- Row numbers rise with time, so old keys are found at the beginning without an index of their own.
CREATE TABLE idempotency_keys (
    id INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    operation INTEGER NOT NULL,
    key BLOB NOT NULL,
    body BLOB NOT NULL,
    callback BLOB NOT NULL,
    at INTEGER NOT NULL,
    UNIQUE (tenant, operation, key)
);

CREATE TABLE parked (
    callback BLOB PRIMARY KEY,
    tenant INTEGER NOT NULL,
    at INTEGER NOT NULL,
    reason TEXT NOT NULL
) WITHOUT ROWID;
