-- Stop rules that can be changed, training seconds of every kind, and the change at which a study was last reopened.
ALTER TABLE studies ADD COLUMN stop TEXT;
ALTER TABLE studies ADD COLUMN training_seconds DOUBLE PRECISION NOT NULL DEFAULT 0;
ALTER TABLE studies ADD COLUMN reopened BIGINT NOT NULL DEFAULT 0;
-- The newest lost lease: epoch and the seconds that were counted for it.
ALTER TABLE trials ADD COLUMN lost TEXT;
-- What is known of studies that are older: the seconds of attempts that counted.
UPDATE studies SET training_seconds =
    (SELECT COALESCE(SUM(trials.seconds), 0) FROM trials WHERE trials.study_id = studies.id);
