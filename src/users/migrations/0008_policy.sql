-- Which [[rule]] counted for a sign-in.
ALTER TABLE events ADD COLUMN rule TEXT;

-- What was done about a person's sign-in beside the usual way: let them in once, keep them out, and why.
CREATE TABLE measures (
    id        INTEGER PRIMARY KEY,
    time      INTEGER NOT NULL,
    kind      TEXT NOT NULL,    -- bypass, block, unblock, fraud, late_fraud, lockout
    unique_id TEXT,             -- taken out with the person
    name      TEXT NOT NULL,
    made_by   TEXT NOT NULL,
    reason    TEXT NOT NULL,
    until     INTEGER,          -- when it ends by itself
    sign_in   TEXT,             -- which sign-in brought it; of a bypass: which one used it
    used      INTEGER           -- of a bypass: when it was used, once for all nodes
) STRICT;

CREATE INDEX measures_by_time ON measures (time);

CREATE INDEX measures_open ON measures (unique_id, until) WHERE kind = 'bypass' AND used IS NULL;
