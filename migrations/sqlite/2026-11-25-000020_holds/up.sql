-- Places held while somebody fills in a form. Each counts in `slots` like a booking. Only those that are there have a
-- row: it goes, in the same transaction as the place, when a booking takes it over, when it is given up, and when its
-- time is over. `number` is a keyed hash of 16 bytes of the number that it is for.
CREATE TABLE holds (
    id BLOB PRIMARY KEY,
    tenant INTEGER NOT NULL,
    queue INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    desired_time INTEGER NOT NULL,
    number BLOB,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Serves the count of a queue's holds, and the search for those whose time is over.
CREATE INDEX holds_of_queue ON holds (queue, expires_at);
