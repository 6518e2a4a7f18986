ALTER TABLE installation DROP COLUMN needs;
