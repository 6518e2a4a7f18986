DROP INDEX callbacks_active;
DELETE FROM details WHERE id IN (SELECT details FROM call_ins WHERE details IS NOT NULL);
DELETE FROM idempotency_keys WHERE operation IN (1, 2);
DROP TABLE call_ins;
DROP TABLE call_in_numbers;
DROP TABLE call_in_groups;
