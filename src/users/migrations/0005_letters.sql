-- Tokens of a file come all at once, as people do: `born` is the generation in which one begins to count.
ALTER TABLE tokens ADD COLUMN born INTEGER NOT NULL DEFAULT 1;

-- Mails that are to be sent. What they say is made when they are sent, from how things stand then.
CREATE TABLE letters (
    id         INTEGER PRIMARY KEY,
    about      TEXT NOT NULL,    -- whom: the unique id of a person; or which plan
    kind       TEXT NOT NULL,    -- new, updated, held
    made       INTEGER NOT NULL,
    due        INTEGER NOT NULL, -- not before
    tries      INTEGER NOT NULL,
    generation INTEGER NOT NULL, -- begins to count with it
    UNIQUE (about, kind)
) STRICT;

CREATE INDEX letters_by_due ON letters (due);

-- Whoever is added by an import of hundreds of thousands leaves a change as well; an index by person of all of these
-- would be as dear as the people themselves. A person has one such change, and it is as old as they are: it is found
-- by its time.
DROP INDEX changes_by_person;

CREATE INDEX changes_by_person ON changes (unique_id, id) WHERE kind <> 'added';
