-- Finds the unfinished callbacks of a number in a queue, oldest first (the key of a row ends every entry).
-- `ended_at` is written once in a life, so steps between leave the entry alone.
CREATE INDEX callbacks_waiting ON callbacks (queue, phone) WHERE ended_at IS NULL;

-- Active callbacks (QUEUED, ROUTING, PROCESSING) per queue. Whoever writes a state counts here in the same
-- transaction.
CREATE TABLE queue_depths (
    queue INTEGER PRIMARY KEY,
    active INTEGER NOT NULL
);
INSERT INTO queue_depths (queue, active)
    SELECT queue, count(*) FROM callbacks WHERE state BETWEEN 1 AND 3 GROUP BY queue;

-- Bookings for now per value and calendar day, which is named by the instant of its end. The value is a keyed
-- hash of 16 bytes.
CREATE TABLE counted_values (
    queue INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    value BLOB NOT NULL,
    booked INTEGER NOT NULL,
    PRIMARY KEY (queue, ends_at, value)
) WITHOUT ROWID;

-- Bookings per window, in parts of a sixtieth of its length, each with the instant until which it counts: at most 61
-- rows for each length.
CREATE TABLE counted_windows (
    queue INTEGER NOT NULL,
    seconds INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    booked INTEGER NOT NULL,
    PRIMARY KEY (queue, seconds, ends_at)
) WITHOUT ROWID;
