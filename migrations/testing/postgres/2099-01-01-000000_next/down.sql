DROP TABLE next_things;
ALTER TABLE callbacks DROP COLUMN next_kind, DROP COLUMN next_note;
