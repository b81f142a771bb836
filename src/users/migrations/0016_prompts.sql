-- Prompts as nodes count them together; a file is for one node, which counts them itself.
CREATE TABLE prompts (
    unique_id     TEXT NOT NULL PRIMARY KEY,
    sent          INTEGER NOT NULL,
    since         INTEGER NOT NULL,
    pause         INTEGER NOT NULL, -- how long nobody is asked after the next denial
    quiet_until   INTEGER,
    patience      INTEGER NOT NULL, -- the same after the next prompt that nobody answers
    patient_until INTEGER,
    fraud         INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE prompts_out (
    key       TEXT NOT NULL PRIMARY KEY,
    claim     TEXT NOT NULL,
    unique_id TEXT NOT NULL,
    node      TEXT NOT NULL,
    until     INTEGER NOT NULL,
    outcome   TEXT,
    method    TEXT,
    provider  TEXT,
    carried   INTEGER NOT NULL,
    tag       BLOB
) STRICT, WITHOUT ROWID;

CREATE INDEX prompts_out_until ON prompts_out (until);

CREATE INDEX prompts_out_of ON prompts_out (unique_id);

CREATE TABLE nodes (
    node TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    seen INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
