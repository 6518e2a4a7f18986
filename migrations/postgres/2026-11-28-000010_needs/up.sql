-- The newest step that a program has to know to work with this database; empty: none. A step that only adds leaves it
-- alone, so that the program before goes on and can be gone back to. One that takes something away, or that older programs
-- would get wrong, names itself here.
ALTER TABLE installation ADD COLUMN needs text NOT NULL DEFAULT '';
