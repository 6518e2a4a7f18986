-- By which grid the places of a queue are counted, such as '30 America/New_York'; with a '~' before it while they
-- are being counted by it. Nothing: booked before grids had names, or never in a slot. A booking by another grid
-- takes no place.
ALTER TABLE queues ADD COLUMN grid TEXT;
