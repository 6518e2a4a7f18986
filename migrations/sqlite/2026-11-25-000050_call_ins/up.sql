-- Groups and access numbers have small numbers, as queues have. Rows are never removed: their bound is what tenants
-- ever had in their settings. `open` counts the requests that are stored as waiting on a number, for the choice of
-- the least loaded one; those whose time is over count until that is written down, which the next request does.
CREATE TABLE call_in_groups (
    key INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (tenant, name)
);
CREATE TABLE call_in_numbers (
    key INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    phone INTEGER NOT NULL CHECK (phone BETWEEN 1 AND 999999999999999),
    open INTEGER NOT NULL,
    UNIQUE (tenant, phone)
);

-- Ids rise with time and every question names its tenant, so the table itself is the list of a tenant in order.
-- `grp` and `number` are keys of the tables above; `marks` says whether `code` and `caller` are there (0 neither, 1
-- caller, 2 code, 3 both); `criteria` what it was recognised by, a bit each. User data stands in `details`.
CREATE TABLE call_ins (
    tenant INTEGER NOT NULL,
    id BLOB NOT NULL,
    state INTEGER NOT NULL,
    grp INTEGER NOT NULL,
    number INTEGER NOT NULL,
    marks INTEGER NOT NULL,
    code INTEGER,
    caller INTEGER CHECK (caller BETWEEN 1 AND 999999999999999),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ended_at INTEGER,
    criteria INTEGER NOT NULL,
    callback BLOB,
    details INTEGER,
    PRIMARY KEY (tenant, id)
) WITHOUT ROWID;

-- The last wall behind the choice: of the requests that wait, no two share number and code, and without codes no two
-- share number and caller (0: none was named). The first serves the search by code, too.
CREATE UNIQUE INDEX call_ins_code ON call_ins (tenant, code, number) WHERE state = 0 AND code IS NOT NULL;
CREATE UNIQUE INDEX call_ins_caller_alone ON call_ins (number, ifnull(caller, 0)) WHERE state = 0 AND code IS NULL;

-- Serve the search by caller and by number dialled.
CREATE INDEX call_ins_caller ON call_ins (tenant, caller, number) WHERE state = 0 AND caller IS NOT NULL;
CREATE INDEX call_ins_number ON call_ins (number, marks) WHERE state = 0;

-- Serve what time does: expiry of those that wait, and the purge of the others.
CREATE INDEX call_ins_waiting ON call_ins (expires_at) WHERE state = 0;
CREATE INDEX call_ins_ended ON call_ins (expires_at) WHERE state <> 0;

-- Serves the list of one caller's requests.
CREATE INDEX call_ins_of_caller ON call_ins (tenant, caller) WHERE caller IS NOT NULL;

-- Serves the count of a queue's active callbacks (QUEUED and ROUTING). Scheduled and settled ones, which are nearly
-- all, have no entry. SQLite rewrites an entry only where its own columns change, so this costs a callback three
-- small writes in its life.
CREATE INDEX callbacks_active ON callbacks (queue, state) WHERE wake_at IS NOT NULL AND state IN (1, 2);
