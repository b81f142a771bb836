-- People get versions, so that an import can be written before it counts, and everything else that is known
-- of them. `born` is the generation in which a version begins to count, `died` the one in which it no longer
-- does (9223372036854775807: no end in sight). What counts is born <= current AND died > current.
CREATE TABLE people_state (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    current INTEGER NOT NULL, -- the generation that counts
    newest  INTEGER NOT NULL, -- the last that was given to an import
    version INTEGER NOT NULL  -- goes up with every change of people that is seen, so that a running server notices
) STRICT;

INSERT INTO people_state (one, current, newest, version) SELECT 1, 1, 1, version FROM people_version;

DROP TRIGGER person_added;
DROP TRIGGER person_changed;
DROP TRIGGER person_removed;
DROP TABLE people_version;

ALTER TABLE names RENAME TO names_before;
DROP INDEX names_by_person;
ALTER TABLE people RENAME TO people_before;

CREATE TABLE people (
    unique_id        TEXT NOT NULL,
    died             INTEGER NOT NULL,
    born             INTEGER NOT NULL,
    name             TEXT NOT NULL,
    upn              TEXT,
    dn               TEXT,
    first_name       TEXT,
    last_name        TEXT,
    email            TEXT,
    phone            TEXT,
    phone_extension  TEXT,
    method           TEXT NOT NULL,
    language         TEXT NOT NULL,
    enabled          INTEGER NOT NULL,
    aliases          TEXT,             -- JSON array of texts, as written
    user_group       TEXT,
    description      TEXT,
    backup_phone     TEXT,
    backup_extension TEXT,
    mode             TEXT NOT NULL,
    local            INTEGER NOT NULL, -- set of fields that were changed here
    item             TEXT,             -- the sync item that brought the person
    content          INTEGER NOT NULL, -- digest of what the directory said last
    quarantined      INTEGER,
    created          INTEGER NOT NULL, -- times are microseconds since 1970-01-01 UTC
    created_by       TEXT NOT NULL,
    changed          INTEGER NOT NULL,
    changed_by       TEXT NOT NULL,
    PRIMARY KEY (unique_id, died)
) STRICT, WITHOUT ROWID;

INSERT INTO people (unique_id, died, born, name, upn, dn, first_name, last_name, email, phone, phone_extension,
                    method, language, enabled, mode, local, content, created, created_by, changed, changed_by)
SELECT unique_id, 9223372036854775807, 1, name, upn, dn, first_name, last_name, email, phone, phone_extension,
       method, language, enabled, 'standard', 0, 0, 0, '', 0, ''
FROM people_before;

CREATE INDEX people_ending ON people (died) WHERE died < 9223372036854775807;

CREATE INDEX people_quarantined ON people (quarantined) WHERE quarantined IS NOT NULL;

-- Every name that leads to a person, in Unicode lower case. The key keeps two people from claiming one name.
CREATE TABLE names (
    folded    TEXT NOT NULL,
    died      INTEGER NOT NULL,
    born      INTEGER NOT NULL,
    kind      TEXT NOT NULL CHECK (kind IN ('name', 'upn', 'alias')),
    unique_id TEXT NOT NULL,
    PRIMARY KEY (folded, died)
) STRICT, WITHOUT ROWID;

INSERT INTO names (folded, died, born, kind, unique_id)
SELECT folded, 9223372036854775807, 1, kind, unique_id FROM names_before;

CREATE INDEX names_ending ON names (died) WHERE died < 9223372036854775807;

-- What Anteroom itself notes of a person, apart from what the directory says: an import never touches it.
CREATE TABLE standing (
    unique_id     TEXT PRIMARY KEY NOT NULL,
    blocked_until INTEGER,
    last_sign_in  INTEGER -- the last accepted one that is no longer in `events`
) STRICT, WITHOUT ROWID;

INSERT INTO standing (unique_id, blocked_until)
SELECT unique_id, blocked_until FROM people_before WHERE blocked_until IS NOT NULL;

-- The apps of a person, the one that is asked first first.
CREATE TABLE devices (
    unique_id TEXT NOT NULL,
    place     INTEGER NOT NULL,
    name      TEXT NOT NULL,
    kind      TEXT NOT NULL,
    token     TEXT NOT NULL,
    added     INTEGER NOT NULL,
    added_by  TEXT NOT NULL,
    PRIMARY KEY (unique_id, place)
) STRICT, WITHOUT ROWID;

INSERT INTO devices (unique_id, place, name, kind, token, added, added_by)
SELECT unique_id, 1, 'app', 'app', device_token, 0, '' FROM people_before WHERE device_token IS NOT NULL;

DROP TABLE names_before;
DROP TABLE people_before;

-- OATH tokens. The seed is sealed with a key that is not in this file.
CREATE TABLE tokens (
    serial       TEXT PRIMARY KEY NOT NULL,
    unique_id    TEXT, -- nobody's yet
    label        TEXT,
    seed         BLOB NOT NULL,
    algorithm    TEXT NOT NULL,
    digits       INTEGER NOT NULL,
    period       INTEGER, -- seconds of a step; none: it counts events
    counter      INTEGER, -- the next event that may be used
    drift        INTEGER NOT NULL, -- steps that its clock is ahead
    last_step    INTEGER, -- the last step or event that was used
    last_used    INTEGER,
    added        INTEGER NOT NULL,
    added_by     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX tokens_by_person ON tokens (unique_id) WHERE unique_id IS NOT NULL;

CREATE TABLE pins (
    unique_id       TEXT PRIMARY KEY NOT NULL,
    hash            TEXT NOT NULL, -- Argon2id, PHC string
    change_required INTEGER NOT NULL,
    expires         INTEGER,
    set_at          INTEGER NOT NULL,
    set_by          TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE pin_history (
    unique_id TEXT NOT NULL REFERENCES pins (unique_id) ON DELETE CASCADE,
    place     INTEGER NOT NULL, -- goes up with each PIN
    hash      TEXT NOT NULL,
    PRIMARY KEY (unique_id, place)
) STRICT, WITHOUT ROWID;

-- Who changed what about whom: before and after, without secrets.
CREATE TABLE changes (
    id         INTEGER PRIMARY KEY,
    time       INTEGER NOT NULL,
    changed_by TEXT NOT NULL,
    unique_id  TEXT NOT NULL,
    name       TEXT NOT NULL,
    kind       TEXT NOT NULL,
    fields     TEXT NOT NULL, -- JSON: [[field, before, after], ...]
    generation INTEGER NOT NULL
) STRICT;

CREATE INDEX changes_by_person ON changes (unique_id, id);

CREATE INDEX changes_by_time ON changes (time);

CREATE INDEX changes_by_generation ON changes (generation);

-- The one holder of the right to import.
CREATE TABLE import_lock (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    node  TEXT NOT NULL,
    token INTEGER NOT NULL, -- goes up with each holder
    until INTEGER NOT NULL
) STRICT;

INSERT INTO import_lock (one, node, token, until) VALUES (1, '', 0, 0);

-- What the next import has to know of the last: cookies, change numbers.
CREATE TABLE import_memory (
    key   TEXT PRIMARY KEY NOT NULL,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE import_runs (
    id      INTEGER PRIMARY KEY,
    began   INTEGER NOT NULL,
    ended   INTEGER NOT NULL,
    node    TEXT NOT NULL,
    item    TEXT NOT NULL,
    result  TEXT NOT NULL,
    summary TEXT NOT NULL -- JSON
) STRICT;

CREATE INDEX import_runs_by_time ON import_runs (began);

-- Imports that wait for an administrator's word.
CREATE TABLE import_plans (
    id          TEXT PRIMARY KEY NOT NULL,
    made        INTEGER NOT NULL,
    item        TEXT NOT NULL,
    reason      TEXT NOT NULL,
    summary     TEXT NOT NULL, -- JSON
    approved    INTEGER,
    approved_by TEXT
) STRICT, WITHOUT ROWID;
