-- Rounds of sign-ins that wait for an answer, sealed with a key that is not in this database. They are gone in minutes, so
-- that a crash of the database may lose them.
CREATE UNLOGGED TABLE rounds (
    reference TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    holder    TEXT COLLATE "C" NOT NULL, -- stands for client and name
    unique_id TEXT COLLATE "C" NOT NULL,
    sealed    BYTEA NOT NULL,
    until     BIGINT NOT NULL
);

CREATE INDEX rounds_of ON rounds (unique_id);
CREATE INDEX rounds_until ON rounds (until);

-- Secrets that all nodes share, sealed likewise.
CREATE TABLE shared_secrets (
    name   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    sealed BYTEA NOT NULL
);
