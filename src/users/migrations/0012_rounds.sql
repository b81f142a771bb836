-- Rounds of sign-ins that wait for an answer, sealed with a key that is not in this file.
CREATE TABLE rounds (
    reference TEXT NOT NULL PRIMARY KEY,
    holder    TEXT NOT NULL,    -- stands for client and name
    unique_id TEXT NOT NULL,
    sealed    BLOB NOT NULL,
    until     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX rounds_of ON rounds (unique_id);
CREATE INDEX rounds_until ON rounds (until);

-- Secrets that all nodes share, sealed likewise.
CREATE TABLE shared_secrets (
    name   TEXT NOT NULL PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
