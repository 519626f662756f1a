-- What the adapter adds to a PostgreSQL database. `install` runs it; running it again changes nothing.

-- One counter for the database: a version grows with every change and never repeats, also across delete and re-create.
CREATE SEQUENCE IF NOT EXISTS recouple_version;

-- The outbox: what is to be published, written in the transaction in which it happened. A row is a change of a record,
-- or, where `outcome` is set, the answer to an instruction.
CREATE TABLE IF NOT EXISTS recouple_changes (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    said_at      text NOT NULL DEFAULT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    record_table text,
    record_key   text,
    operation    text,
    version      bigint,
    fields       text,  -- a JSON object
    modified_by  text,
    instruction  text,
    outcome      text,  -- a JSON object
    traceparent  text
);

-- How each instruction was answered: one that comes again gets the same answer again.
CREATE TABLE IF NOT EXISTS recouple_instructions (
    id          text,
    attempt     integer,
    outcome     text NOT NULL,
    answered_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, attempt)
);

-- For every table:

-- The table as Recouple sees it.
DROP VIEW IF EXISTS {view};
CREATE VIEW {view} AS
SELECT {key} AS key, recouple_version AS version,
       (SELECT to_json(picked) FROM (SELECT {columns}) AS picked)::text AS fields
FROM {table};

-- It runs with the rights of whoever installed it, so that the users of the app need none on what is ours. The version is
-- taken after the row is written, while its lock is held: so versions grow in the order in which changes commit.
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
DECLARE
    who text := coalesce(nullif(current_setting('recouple.user', true), ''), session_user);
    is_other boolean := TG_OP = 'UPDATE' AND OLD.{key} IS DISTINCT FROM NEW.{key};  -- another key is another record
BEGIN
    IF TG_OP = 'DELETE' OR is_other THEN
        INSERT INTO recouple_changes (record_table, record_key, operation, version, modified_by)
        VALUES ('{wire}', OLD.{key}, 'delete', nextval('recouple_version'), who);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        UPDATE {table} SET recouple_version = nextval('recouple_version') WHERE {key} = NEW.{key};
        INSERT INTO recouple_changes (record_table, record_key, operation, version, fields, modified_by)
        SELECT '{wire}', key, CASE WHEN TG_OP = 'INSERT' OR is_other THEN 'create' ELSE 'update' END, version, fields, who
        FROM {view} WHERE key = NEW.{key};
    END IF;
    RETURN NULL;
END $$;

DROP TRIGGER IF EXISTS recouple_created ON {table};
CREATE TRIGGER recouple_created AFTER INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {function}();

-- Only what Recouple sees counts; setting the version is no change.
DROP TRIGGER IF EXISTS recouple_updated ON {table};
CREATE TRIGGER recouple_updated AFTER UPDATE ON {table} FOR EACH ROW
WHEN ({differs}) EXECUTE FUNCTION {function}();

DROP TRIGGER IF EXISTS recouple_deleted ON {table};
CREATE TRIGGER recouple_deleted AFTER DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {function}();
