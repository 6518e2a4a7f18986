ALTER TABLE callbacks SET (fillfactor = 90);
