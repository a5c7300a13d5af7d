-- Boxwood's first schema. The same tables exist for SQLite and PostgreSQL under the same names.
-- Times are microseconds since 1970 in UTC by the database's clock. JSON is text. Flags are 0 or 1.

CREATE TABLE projects (
    id BIGINT NOT NULL CONSTRAINT projects_key PRIMARY KEY,
    name TEXT NOT NULL CONSTRAINT projects_name UNIQUE
);
INSERT INTO projects (id, name) VALUES (1, 'default');

CREATE TABLE tokens (
    id BIGINT NOT NULL CONSTRAINT tokens_key PRIMARY KEY,
    hash TEXT NOT NULL CONSTRAINT tokens_hash UNIQUE,
    prefix TEXT NOT NULL,
    name TEXT NOT NULL,
    project_id BIGINT CONSTRAINT tokens_project REFERENCES projects (id),
    role TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE studies (
    id BIGINT NOT NULL CONSTRAINT studies_key PRIMARY KEY,
    project_id BIGINT NOT NULL CONSTRAINT studies_project REFERENCES projects (id),
    name TEXT NOT NULL,
    -- The specification as created; what may change later stands in columns of its own.
    spec TEXT NOT NULL,
    spec_hash TEXT NOT NULL,
    budget TEXT NOT NULL,
    max_open_leases BIGINT,
    program TEXT,
    requires TEXT NOT NULL,
    priority BIGINT NOT NULL,
    state TEXT NOT NULL,
    state_reason TEXT,
    archived BIGINT NOT NULL,
    change BIGINT NOT NULL,
    plan BIGINT NOT NULL,
    plan_end TEXT,
    plan_change BIGINT NOT NULL,
    queued BIGINT NOT NULL,
    leased BIGINT NOT NULL,
    paused BIGINT NOT NULL,
    completed BIGINT NOT NULL,
    pruned BIGINT NOT NULL,
    infeasible BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    cancelled BIGINT NOT NULL,
    trials BIGINT NOT NULL,
    resource_used BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    budget_from BIGINT NOT NULL,
    finished_at BIGINT,
    CONSTRAINT studies_name UNIQUE (project_id, name)
);
CREATE INDEX studies_state ON studies (state, project_id);

CREATE TABLE trials (
    -- The study's id times ten million, plus the number.
    id BIGINT NOT NULL CONSTRAINT trials_key PRIMARY KEY,
    study_id BIGINT NOT NULL CONSTRAINT trials_study REFERENCES studies (id),
    number BIGINT NOT NULL,
    state TEXT NOT NULL,
    queue_rank BIGINT NOT NULL,
    point TEXT NOT NULL,
    point_hash TEXT NOT NULL,
    origin TEXT NOT NULL,
    provenance TEXT NOT NULL,
    target BIGINT NOT NULL,
    reached BIGINT,
    epoch BIGINT NOT NULL,
    lease_worker TEXT,
    lease_granted_at BIGINT,
    lease_expires_at BIGINT,
    failed_attempts BIGINT NOT NULL,
    lost_leases BIGINT NOT NULL,
    memory_failures BIGINT NOT NULL,
    checkpoint TEXT,
    checkpoint_step BIGINT NOT NULL,
    metrics TEXT,
    value DOUBLE PRECISION,
    seconds DOUBLE PRECISION NOT NULL,
    reason TEXT,
    stop_requested BIGINT NOT NULL,
    created_change BIGINT NOT NULL,
    updated_change BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT,
    -- The last accepted finish: epoch, digest and answer.
    finish TEXT,
    -- [[change, state, target rung], ...]
    history TEXT NOT NULL,
    CONSTRAINT trials_number UNIQUE (study_id, number)
);
CREATE INDEX trials_change ON trials (study_id, updated_change);
CREATE INDEX trials_point ON trials (study_id, point_hash);
CREATE INDEX trials_queue ON trials (study_id, queue_rank, number) WHERE state = 'queued';
CREATE INDEX trials_lease ON trials (lease_expires_at) WHERE state = 'leased';

CREATE TABLE reports (
    trial_id BIGINT NOT NULL CONSTRAINT reports_trial REFERENCES trials (id),
    epoch BIGINT NOT NULL,
    step BIGINT NOT NULL,
    study_id BIGINT NOT NULL,
    metrics TEXT NOT NULL,
    seconds DOUBLE PRECISION,
    change BIGINT NOT NULL,
    at BIGINT NOT NULL,
    CONSTRAINT reports_key PRIMARY KEY (trial_id, epoch, step)
) WITHOUT ROWID;
CREATE INDEX reports_change ON reports (study_id, change);

CREATE TABLE plans (
    study_id BIGINT NOT NULL CONSTRAINT plans_study REFERENCES studies (id),
    number BIGINT NOT NULL,
    change BIGINT NOT NULL,
    want BIGINT NOT NULL,
    starts_left BIGINT,
    moves TEXT NOT NULL,
    plan_end TEXT NOT NULL,
    diagnostics TEXT NOT NULL,
    seconds DOUBLE PRECISION NOT NULL,
    at BIGINT NOT NULL,
    CONSTRAINT plans_key PRIMARY KEY (study_id, number)
);

CREATE TABLE promotions (
    trial_id BIGINT NOT NULL CONSTRAINT promotions_trial REFERENCES trials (id),
    rung BIGINT NOT NULL,
    plan BIGINT NOT NULL,
    CONSTRAINT promotions_key PRIMARY KEY (trial_id, rung)
);

CREATE TABLE workers (
    project_id BIGINT NOT NULL CONSTRAINT workers_project REFERENCES projects (id),
    name TEXT NOT NULL,
    slots BIGINT NOT NULL,
    labels TEXT NOT NULL,
    programs TEXT NOT NULL,
    crashes BIGINT NOT NULL,
    crash_trial BIGINT,
    crash_several BIGINT NOT NULL,
    quarantined_until BIGINT,
    draining BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    CONSTRAINT workers_key PRIMARY KEY (project_id, name)
);

CREATE TABLE requests (
    project_id BIGINT NOT NULL,
    request_id TEXT NOT NULL,
    payload TEXT NOT NULL,
    response TEXT NOT NULL,
    at BIGINT NOT NULL,
    CONSTRAINT requests_key PRIMARY KEY (project_id, request_id)
);
CREATE INDEX requests_age ON requests (at);
