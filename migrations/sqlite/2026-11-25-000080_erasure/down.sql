DROP TABLE audit_heads;
DROP TABLE audit;
DROP INDEX call_ins_tied;
DROP TABLE erasures;
