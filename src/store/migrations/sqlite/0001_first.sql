-- Resources we author, what stands behind them, and who saw them. Times are milliseconds since 1970 in UTC.
-- `Patient/123` exists at every hospital: `patient` is always absolute, and `source_base`, the EHR it belongs to, is part of
-- every key. It is empty for what belongs to no patient. Our own ids are unique without it, since `/fhir/Type/id` has none.

CREATE TABLE resource (
    tenant       TEXT NOT NULL,
    type         TEXT NOT NULL,
    id           TEXT NOT NULL,
    version      INTEGER NOT NULL,
    source_base  TEXT NOT NULL,
    patient      TEXT,
    status       TEXT,
    date_from    INTEGER,
    date_until   INTEGER,
    last_updated INTEGER NOT NULL,
    json         TEXT NOT NULL,
    PRIMARY KEY (tenant, source_base, type, id),
    UNIQUE (tenant, type, id),
    CHECK ((patient IS NULL) = (source_base = '')),
    CHECK ((patient IS NULL) = (type = 'Device'))
) STRICT;
CREATE INDEX resource_newest ON resource (tenant, type, last_updated, id);
CREATE INDEX resource_of_patient ON resource (tenant, source_base, patient, type, last_updated, id);

-- References a search can follow from a resource to another of ours, as `Type/id`.
CREATE TABLE link (
    tenant    TEXT NOT NULL,
    type      TEXT NOT NULL,
    id        TEXT NOT NULL,
    parameter TEXT NOT NULL,
    target    TEXT NOT NULL,
    PRIMARY KEY (tenant, type, parameter, target, id),
    FOREIGN KEY (tenant, type, id) REFERENCES resource (tenant, type, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX link_of_resource ON link (tenant, type, id);

CREATE TABLE picture (
    tenant      TEXT NOT NULL,
    source_base TEXT NOT NULL,
    sha256      TEXT NOT NULL CHECK (length(sha256) = 64),
    png         BLOB NOT NULL,
    PRIMARY KEY (tenant, source_base, sha256)
) STRICT;

CREATE TABLE report_page (
    tenant      TEXT NOT NULL,
    report      TEXT NOT NULL,
    source_base TEXT NOT NULL,
    patient     TEXT NOT NULL,
    json        TEXT NOT NULL,
    PRIMARY KEY (tenant, source_base, report),
    UNIQUE (tenant, report)
) STRICT;

CREATE TABLE answer (
    tenant        TEXT NOT NULL,
    client        TEXT NOT NULL,
    source_base   TEXT NOT NULL,
    service       TEXT NOT NULL,
    hook_instance TEXT NOT NULL,
    body_sha256   TEXT NOT NULL,
    answer        TEXT NOT NULL,
    at            INTEGER NOT NULL,
    PRIMARY KEY (tenant, client, source_base, service, hook_instance, body_sha256)
) STRICT;
CREATE INDEX answer_oldest ON answer (tenant, at);

CREATE TABLE audit (
    sequence    INTEGER PRIMARY KEY AUTOINCREMENT,
    at          INTEGER NOT NULL,
    tenant      TEXT NOT NULL,
    client      TEXT NOT NULL,
    action      TEXT NOT NULL,
    target      TEXT NOT NULL,
    source_base TEXT,
    patient     TEXT,
    outcome     INTEGER NOT NULL,
    request_id  TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
-- REPLACE deletes without firing the trigger above.
CREATE TRIGGER audit_is_never_replaced BEFORE INSERT ON audit
WHEN EXISTS (SELECT 1 FROM audit WHERE sequence = NEW.sequence)
BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
