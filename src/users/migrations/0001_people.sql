-- The enrolled people. One b-tree, keyed by what never changes: the sign-in path reads it once.
CREATE TABLE people (
    unique_id       TEXT PRIMARY KEY NOT NULL,
    name            TEXT NOT NULL,
    upn             TEXT,
    dn              TEXT,
    first_name      TEXT,
    last_name       TEXT,
    email           TEXT,
    phone           TEXT,
    phone_extension TEXT,
    device_token    TEXT,
    method          TEXT NOT NULL,
    language        TEXT NOT NULL,
    enabled         INTEGER NOT NULL,
    blocked_until   INTEGER -- microseconds since 1970-01-01 UTC
) STRICT, WITHOUT ROWID;

-- Every name that leads to a person, in Unicode lower case. The key keeps two people from claiming one name.
CREATE TABLE names (
    folded    TEXT PRIMARY KEY NOT NULL,
    kind      TEXT NOT NULL CHECK (kind IN ('name', 'upn', 'alias')),
    unique_id TEXT NOT NULL REFERENCES people (unique_id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX names_by_person ON names (unique_id);

-- Goes up with every change of a person, whichever program makes it, so that a running server notices.
CREATE TABLE people_version (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL
) STRICT;

INSERT INTO people_version (one, version) VALUES (1, 0);

CREATE TRIGGER person_added AFTER INSERT ON people BEGIN
    UPDATE people_version SET version = version + 1;
END;

CREATE TRIGGER person_changed AFTER UPDATE ON people BEGIN
    UPDATE people_version SET version = version + 1;
END;

CREATE TRIGGER person_removed AFTER DELETE ON people BEGIN
    UPDATE people_version SET version = version + 1;
END;
