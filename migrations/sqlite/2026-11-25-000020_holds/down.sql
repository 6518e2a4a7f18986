-- The places that are held would stay taken for ever.
UPDATE slots SET booked = booked - (SELECT count(*) FROM holds h WHERE h.queue = slots.queue AND h.slot = slots.start)
    WHERE EXISTS (SELECT 1 FROM holds h WHERE h.queue = slots.queue AND h.slot = slots.start);
DROP TABLE holds;
