-- Approvals that are good for more sign-ins, as a [[caching]] rule says.
CREATE TABLE approvals (
    key         BYTEA PRIMARY KEY,         -- digest of all that must be as it was, under a key that is not in here
    unique_id   TEXT COLLATE "C" NOT NULL,
    name        TEXT NOT NULL,
    rule        TEXT NOT NULL,
    kind        TEXT COLLATE "C" NOT NULL, -- radius, ldap, rd_gateway
    client      TEXT NOT NULL,
    application TEXT NOT NULL,
    place       TEXT,                      -- address of the device, or name of the computer
    method      TEXT COLLATE "C" NOT NULL,
    provider    TEXT,
    approved    BIGINT NOT NULL,
    until       BIGINT NOT NULL,
    sign_in     TEXT COLLATE "C" NOT NULL
);

CREATE INDEX approvals_of ON approvals (unique_id);

CREATE INDEX approvals_until ON approvals (until);

-- Which earlier sign-in's approval counted.
ALTER TABLE events ADD COLUMN earlier TEXT COLLATE "C";
