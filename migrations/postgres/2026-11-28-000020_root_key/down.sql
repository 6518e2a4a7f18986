UPDATE installation SET needs = '';
ALTER TABLE installation DROP COLUMN root_key;
