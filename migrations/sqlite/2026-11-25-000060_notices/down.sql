DROP TABLE notices;
DROP TABLE lanes;
DROP TABLE happening_heads;
DROP TABLE happenings;
ALTER TABLE callbacks DROP COLUMN turn_until;
ALTER TABLE callbacks DROP COLUMN turn_seconds;
ALTER TABLE callbacks DROP COLUMN devices;
