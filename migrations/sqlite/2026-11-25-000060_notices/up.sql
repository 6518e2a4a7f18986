-- What callbacks know of being told: devices (and whether they were told that the wait is short), and, where the
-- customer calls in, for how long and until when. Three bytes of a row without any of it.
ALTER TABLE callbacks ADD COLUMN devices INTEGER NOT NULL DEFAULT 0;
ALTER TABLE callbacks ADD COLUMN turn_seconds INTEGER;
ALTER TABLE callbacks ADD COLUMN turn_until INTEGER;

-- What a tenant is told of, in the order of commits: one transaction writes at a time, and takes the next place.
-- `note` is the reason of a callback that ended, the two words of a notification, or the name of an endpoint.
-- Written only for tenants that are told of such a thing.
CREATE TABLE happenings (
    tenant INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    at INTEGER NOT NULL,
    callback BLOB,
    queue INTEGER,
    version INTEGER NOT NULL,
    state INTEGER NOT NULL,
    implied INTEGER NOT NULL,
    note TEXT,
    PRIMARY KEY (tenant, seq)
) WITHOUT ROWID;

-- The last place of each tenant: never given twice, also when everything old has been removed.
CREATE TABLE happening_heads (
    tenant INTEGER PRIMARY KEY,
    last INTEGER NOT NULL
);

-- One lane per webhook endpoint, and one for the notifications of a tenant (kind 0, without a name).
CREATE TABLE lanes (
    key INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    name TEXT NOT NULL,
    failing_since INTEGER,
    disabled_at INTEGER,
    UNIQUE (tenant, kind, name)
);

-- One row per happening and receiver. `ending` is 0 while it is owed; `wake_at` is then when somebody must work on
-- it, or nothing while an earlier one about the same callback is owed in the same lane. `tries` holds the latest
-- tries as text: `instant:code …`.
CREATE TABLE notices (
    lane INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    target INTEGER NOT NULL,
    callback BLOB,
    ending INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    wake_at INTEGER,
    owner INTEGER,
    expires_at INTEGER,
    tries TEXT,
    PRIMARY KEY (lane, seq, target)
) WITHOUT ROWID;

-- What is due, lane by lane, each as one range that ends where nothing is due.
CREATE INDEX notices_due ON notices (lane, wake_at) WHERE wake_at IS NOT NULL;

-- What is being sent: a handful of rows. Finds what a dead node had taken on.
CREATE INDEX notices_in_hand ON notices (owner) WHERE owner IS NOT NULL;

-- Which notice about a callback is the next of its lane, and whether one is owed at all.
CREATE INDEX notices_owed ON notices (callback, lane, seq) WHERE ending = 0;
