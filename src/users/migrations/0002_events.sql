-- One row a sign-in. Times are microseconds: `time` since 1970-01-01 UTC, the steps as durations.
CREATE TABLE events (
    id             INTEGER PRIMARY KEY,
    time           INTEGER NOT NULL,
    sign_in        TEXT NOT NULL,
    door           TEXT NOT NULL,
    client         TEXT NOT NULL,
    application    TEXT NOT NULL,
    name           TEXT NOT NULL,
    unique_id      TEXT,
    account        TEXT,
    source         TEXT NOT NULL,
    person_address TEXT,
    method         TEXT,
    provider       TEXT,
    primary_result TEXT,
    factor_result  TEXT,
    verdict        TEXT NOT NULL,
    reason         TEXT NOT NULL,
    requests       INTEGER NOT NULL,
    identify_us    INTEGER,
    primary_us     INTEGER,
    policy_us      INTEGER,
    factor_us      INTEGER,
    total_us       INTEGER NOT NULL,
    server         TEXT NOT NULL
) STRICT;

CREATE INDEX events_by_time ON events (time);

CREATE INDEX events_by_person ON events (unique_id, time) WHERE unique_id IS NOT NULL;
