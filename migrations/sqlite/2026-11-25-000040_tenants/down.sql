DROP TABLE credentials;
DROP TABLE tenant_revisions;
ALTER TABLE tenants DROP COLUMN revision;
