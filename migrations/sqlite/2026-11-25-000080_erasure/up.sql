-- Receipts of erasures: what was removed of a number, in figures. The number itself is nowhere in them: `fingerprint`
-- is a keyed hash of it. One without `finished_at` was broken off, and whoever erases the same number goes on with it.
CREATE TABLE erasures (
    tenant INTEGER NOT NULL,
    id BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    actor TEXT NOT NULL,
    begun_at INTEGER NOT NULL,
    finished_at INTEGER,
    cancelled INTEGER NOT NULL,
    callbacks INTEGER NOT NULL DEFAULT 0,
    blinded INTEGER NOT NULL DEFAULT 0,
    history INTEGER NOT NULL DEFAULT 0,
    details INTEGER NOT NULL DEFAULT 0,
    call_ins INTEGER NOT NULL DEFAULT 0,
    notices INTEGER NOT NULL DEFAULT 0,
    counted_values INTEGER NOT NULL DEFAULT 0,
    idempotency_keys INTEGER NOT NULL DEFAULT 0,
    searched_bytes INTEGER NOT NULL DEFAULT 0,
    rewritten INTEGER NOT NULL DEFAULT 0,
    found INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX erasures_open ON erasures (tenant, fingerprint) WHERE finished_at IS NULL;

-- Which call-ins are tied to a callback: what belongs to its customer goes with it.
CREATE INDEX call_ins_tied ON call_ins (callback) WHERE callback IS NOT NULL;

-- Administrative acts of a tenant, each with a hash over itself and the hash before it.
CREATE TABLE audit (
    tenant INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    act TEXT NOT NULL,
    actor TEXT NOT NULL,
    subject TEXT NOT NULL,
    details TEXT NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (tenant, seq)
) STRICT, WITHOUT ROWID;

-- Both ends of a tenant's chain: its last entry, and the last one that was removed because of its age.
CREATE TABLE audit_heads (
    tenant INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    base_seq INTEGER NOT NULL,
    base_hash BLOB NOT NULL
) STRICT;
