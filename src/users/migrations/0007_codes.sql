-- Backup and temporary codes. Only their hashes.
CREATE TABLE codes (
    unique_id TEXT NOT NULL,
    hash      TEXT NOT NULL,    -- Argon2id, PHC string; those of one list have one salt
    place     INTEGER NOT NULL, -- in their list
    kind      TEXT NOT NULL,    -- backup, temporary
    uses      INTEGER NOT NULL, -- how often it is still good
    expires   INTEGER,
    reason    TEXT,
    added     INTEGER NOT NULL,
    added_by  TEXT NOT NULL,
    PRIMARY KEY (unique_id, hash)
) STRICT, WITHOUT ROWID;

-- Wrong codes and PINs in a row, counted for all nodes.
CREATE TABLE tries (
    unique_id TEXT NOT NULL,
    kind      TEXT NOT NULL,    -- code, pin
    wrong     INTEGER NOT NULL,
    last      INTEGER NOT NULL, -- when the last one was
    PRIMARY KEY (unique_id, kind)
) STRICT, WITHOUT ROWID;

-- Codes under way to people, sealed with a key that is not in this file; and how many went out lately.
CREATE TABLE sent_codes (
    unique_id TEXT NOT NULL,
    provider  TEXT NOT NULL,
    code      BLOB,             -- none: used
    expires   INTEGER NOT NULL,
    tries     INTEGER NOT NULL, -- how often it may still be tried
    began     INTEGER NOT NULL, -- when the first of those that `number` counts went out
    number    INTEGER NOT NULL,
    PRIMARY KEY (unique_id, provider)
) STRICT, WITHOUT ROWID;
