-- Prompts, as nodes count them together, and the nodes themselves. All of it is over in minutes, so that a crash of the
-- database may lose it: then each node has its own count.
CREATE UNLOGGED TABLE prompts (
    unique_id     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    sent          BIGINT NOT NULL,
    since         BIGINT NOT NULL,
    pause         BIGINT NOT NULL, -- how long nobody is asked after the next denial
    quiet_until   BIGINT,
    patience      BIGINT NOT NULL, -- the same after the next prompt that nobody answers
    patient_until BIGINT,
    fraud         BIGINT
);

-- Prompts that are out, or were a moment ago: one for each sign-in, whichever node its requests reach.
CREATE UNLOGGED TABLE prompts_out (
    key       TEXT COLLATE "C" NOT NULL PRIMARY KEY, -- keyed digest of client, person, password, device
    claim     TEXT COLLATE "C" NOT NULL,             -- the sign-in that asks
    unique_id TEXT COLLATE "C" NOT NULL,
    node      TEXT COLLATE "C" NOT NULL,
    until     BIGINT NOT NULL,
    outcome   TEXT COLLATE "C",
    method    TEXT COLLATE "C",
    provider  TEXT,
    carried   BIGINT NOT NULL,                       -- whether an approval is good for one retry
    tag       BYTEA                                  -- of an approval: that a node wrote it
);

CREATE INDEX prompts_out_until ON prompts_out (until);

CREATE INDEX prompts_out_of ON prompts_out (unique_id);

CREATE UNLOGGED TABLE nodes (
    node TEXT COLLATE "C" NOT NULL PRIMARY KEY, -- of this very process
    name TEXT NOT NULL,
    seen BIGINT NOT NULL
);
