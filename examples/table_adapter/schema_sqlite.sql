-- What the adapter adds to an SQLite database. `install` runs it; running it again changes nothing.

-- One counter for the database: a version grows with every change and never repeats, also across delete and re-create.
CREATE TABLE IF NOT EXISTS recouple_counter (only INTEGER PRIMARY KEY CHECK (only = 1), version INTEGER NOT NULL);
INSERT OR IGNORE INTO recouple_counter VALUES (1, 0);

-- The outbox: what is to be published, written in the transaction in which it happened. A row is a change of a record,
-- or, where `outcome` is set, the answer to an instruction.
CREATE TABLE IF NOT EXISTS recouple_changes (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,  -- a number is never used again
    said_at      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    record_table TEXT,
    record_key   TEXT,
    operation    TEXT,
    version      INTEGER,
    fields       TEXT,  -- a JSON object
    modified_by  TEXT,
    instruction  TEXT,
    outcome      TEXT,  -- a JSON object
    traceparent  TEXT
);

-- How each instruction was answered: one that comes again gets the same answer again.
CREATE TABLE IF NOT EXISTS recouple_instructions (
    id          TEXT,
    attempt     INTEGER,
    outcome     TEXT NOT NULL,
    answered_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (id, attempt)
);

-- For every table:

-- The table as Recouple sees it.
DROP VIEW IF EXISTS {view};
CREATE VIEW {view} AS
SELECT {key} AS key, recouple_version AS version, json_object({pairs}) AS fields FROM {table};

DROP TRIGGER IF EXISTS {created};
CREATE TRIGGER {created} AFTER INSERT ON {table} BEGIN
    UPDATE recouple_counter SET version = version + 1;
    UPDATE {table} SET recouple_version = (SELECT version FROM recouple_counter) WHERE {key} = NEW.{key};
    INSERT INTO recouple_changes (record_table, record_key, operation, version, fields)
    SELECT '{wire}', key, 'create', version, fields FROM {view} WHERE key = NEW.{key};
END;

-- Only what Recouple sees counts; setting the version is no change.
DROP TRIGGER IF EXISTS {updated};
CREATE TRIGGER {updated} AFTER UPDATE ON {table} WHEN OLD.{key} = NEW.{key} AND ({differs}) BEGIN
    UPDATE recouple_counter SET version = version + 1;
    UPDATE {table} SET recouple_version = (SELECT version FROM recouple_counter) WHERE {key} = NEW.{key};
    INSERT INTO recouple_changes (record_table, record_key, operation, version, fields)
    SELECT '{wire}', key, 'update', version, fields FROM {view} WHERE key = NEW.{key};
END;

-- Another key is another record.
DROP TRIGGER IF EXISTS {renamed};
CREATE TRIGGER {renamed} AFTER UPDATE ON {table} WHEN OLD.{key} <> NEW.{key} BEGIN
    UPDATE recouple_counter SET version = version + 1;
    INSERT INTO recouple_changes (record_table, record_key, operation, version)
    SELECT '{wire}', OLD.{key}, 'delete', version FROM recouple_counter;
    UPDATE recouple_counter SET version = version + 1;
    UPDATE {table} SET recouple_version = (SELECT version FROM recouple_counter) WHERE {key} = NEW.{key};
    INSERT INTO recouple_changes (record_table, record_key, operation, version, fields)
    SELECT '{wire}', key, 'create', version, fields FROM {view} WHERE key = NEW.{key};
END;

DROP TRIGGER IF EXISTS {deleted};
CREATE TRIGGER {deleted} AFTER DELETE ON {table} BEGIN
    UPDATE recouple_counter SET version = version + 1;
    INSERT INTO recouple_changes (record_table, record_key, operation, version)
    SELECT '{wire}', OLD.{key}, 'delete', version FROM recouple_counter;
END;
