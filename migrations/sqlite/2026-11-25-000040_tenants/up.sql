-- How often the document of a tenant was changed. A program before this one writes documents without it.
ALTER TABLE tenants ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
UPDATE tenants SET revision = 1 WHERE settings IS NOT NULL;

-- What documents said, packed as user data is; old ones go. A table with row numbers, because documents are long.
CREATE TABLE tenant_revisions (
    id INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    document BLOB NOT NULL,
    UNIQUE (tenant, revision)
) STRICT;

-- Secrets of tenants, sealed under the master key. There are a few per tenant, found by its part of the key.
CREATE TABLE credentials (
    tenant INTEGER NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    sealed BLOB NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, kind, name)
) STRICT, WITHOUT ROWID;
