-- Backup and temporary codes. Only their hashes.
CREATE TABLE codes (
    unique_id TEXT COLLATE "C" NOT NULL,
    hash      TEXT COLLATE "C" NOT NULL, -- Argon2id, PHC string; those of one list have one salt
    place     BIGINT NOT NULL, -- in their list
    kind      TEXT COLLATE "C" NOT NULL, -- backup, temporary
    uses      BIGINT NOT NULL, -- how often it is still good
    expires   BIGINT,
    reason    TEXT COLLATE "C",
    added     BIGINT NOT NULL,
    added_by  TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (unique_id, hash)
);

-- Wrong codes and PINs in a row, counted for all nodes.
CREATE TABLE tries (
    unique_id TEXT COLLATE "C" NOT NULL,
    kind      TEXT COLLATE "C" NOT NULL, -- code, pin
    wrong     BIGINT NOT NULL,
    last      BIGINT NOT NULL, -- when the last one was
    PRIMARY KEY (unique_id, kind)
);

-- Codes under way to people, sealed with a key that is not in this database; and how many went out lately.
CREATE TABLE sent_codes (
    unique_id TEXT COLLATE "C" NOT NULL,
    provider  TEXT COLLATE "C" NOT NULL,
    code      BYTEA, -- none: used
    expires   BIGINT NOT NULL,
    tries     BIGINT NOT NULL, -- how often it may still be tried
    began     BIGINT NOT NULL, -- when the first of those that `number` counts went out
    number    BIGINT NOT NULL,
    PRIMARY KEY (unique_id, provider)
);
