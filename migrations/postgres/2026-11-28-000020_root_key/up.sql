-- The root key, sealed under the master key; empty until somebody needs it. Programs before would make their keys of the
-- master key itself, and let nobody in: so they are refused.
ALTER TABLE installation ADD COLUMN root_key bytea NOT NULL DEFAULT '';
UPDATE installation SET needs = '20261128000020';
