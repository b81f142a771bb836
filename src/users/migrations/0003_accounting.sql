-- One row an accounting record, as its client reported it. `time` is when it was received, in microseconds
-- since 1970-01-01 UTC.
CREATE TABLE accounting (
    id              INTEGER PRIMARY KEY,
    time            INTEGER NOT NULL,
    client          TEXT NOT NULL,
    source          TEXT NOT NULL,
    status          TEXT NOT NULL,
    session         TEXT NOT NULL,
    name            TEXT NOT NULL,
    octets_in       INTEGER,
    octets_out      INTEGER,
    session_seconds INTEGER
) STRICT;

CREATE INDEX accounting_by_time ON accounting (time);
