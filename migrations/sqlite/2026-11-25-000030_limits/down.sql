DROP TABLE counted_windows;
DROP TABLE counted_values;
DROP TABLE queue_depths;
DROP INDEX callbacks_waiting;
