-- Approvals that are good for more sign-ins, as a [[caching]] rule says.
CREATE TABLE approvals (
    key         BLOB PRIMARY KEY,  -- digest of all that must be as it was, under a key that is not in here
    unique_id   TEXT NOT NULL,
    name        TEXT NOT NULL,
    rule        TEXT NOT NULL,
    kind        TEXT NOT NULL,     -- radius, ldap, rd_gateway
    client      TEXT NOT NULL,
    application TEXT NOT NULL,
    place       TEXT,              -- address of the device, or name of the computer
    method      TEXT NOT NULL,
    provider    TEXT,
    approved    INTEGER NOT NULL,
    until       INTEGER NOT NULL,
    sign_in     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX approvals_of ON approvals (unique_id);

CREATE INDEX approvals_until ON approvals (until);

-- Which earlier sign-in's approval counted.
ALTER TABLE events ADD COLUMN earlier TEXT;
