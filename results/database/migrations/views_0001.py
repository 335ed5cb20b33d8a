"""The views of the first schema, as they were: databases of that age have them."""

from __future__ import annotations

RUNS = """
CREATE VIEW v_runs AS
-- One row per run of a study. `attempt_id` and what follows belong to the attempt that the run's
-- data come from: the finished one, or the one under way, or the one that failed. A queued run
-- has none: a lost or released attempt leaves only its `error` behind.
SELECT
    study.name AS study, study.protocol, study_run.position,
    run.id AS run_id, run.identity, study_arm.name AS arm, run.game, run.seed, run.state,
    arm.env_frames AS planned_env_frames,
    coalesce(latest.number, 0) AS attempts,
    latest.error,
    shown.id AS attempt_id,
    coalesce(shown.env_frames, 0) AS env_frames,
    coalesce(shown.updates, 0) AS updates,
    coalesce(
        shown.seconds,
        (julianday(coalesce(shown.ended_at, shown.heartbeat_at)) - julianday(shown.started_at))
        * 86400.0
    ) AS seconds,
    worker.host, worker.pid, worker.device, shown.started_at, shown.heartbeat_at, shown.ended_at
FROM study_run
JOIN study ON study.id = study_run.study_id
JOIN run ON run.id = study_run.run_id
JOIN arm ON arm.id = run.arm_id
JOIN study_arm ON study_arm.study_id = study.id AND study_arm.arm_id = arm.id
LEFT JOIN attempt AS latest ON latest.run_id = run.id AND latest.number = (
    SELECT max(number) FROM attempt WHERE attempt.run_id = run.id
)
LEFT JOIN attempt AS shown
    ON shown.id = latest.id AND run.state IN ('finished', 'running', 'failed')
LEFT JOIN worker ON worker.id = shown.worker_id
"""

SCORES = """
CREATE VIEW v_scores AS
-- One row per finished run, policy and normalization table: the mean return of the final
-- evaluation, and its human-normalised score (0 is the random player, 1 the human one).
SELECT
    v_runs.study, v_runs.protocol, v_runs.run_id, v_runs.arm, v_runs.game, v_runs.seed,
    evaluation.env_frames, evaluation.policy,
    count(*) AS episodes, sum(evaluation.truncated) AS truncated_episodes,
    avg(evaluation.episode_return) AS mean_return,
    normalization.table_id,
    (avg(evaluation.episode_return) - normalization.random_return)
        / (normalization.human_return - normalization.random_return) AS score
FROM v_runs
JOIN evaluation ON evaluation.attempt_id = v_runs.attempt_id AND evaluation.final
LEFT JOIN normalization ON normalization.game_key = lower(v_runs.game)
WHERE v_runs.state = 'finished'
GROUP BY v_runs.study, v_runs.run_id, evaluation.env_frames, evaluation.policy,
    normalization.table_id
"""

CURVES_INDEX = """
CREATE VIEW v_curves_index AS
-- One row per curve of a run that is finished or under way; the points are compressed, and
-- results.database.reading.curve unpacks them.
SELECT
    v_runs.study, v_runs.run_id, v_runs.arm, v_runs.game, v_runs.seed, v_runs.state,
    metric.name AS metric, count(*) AS chunks, sum(curve_chunk.points) AS points,
    min(curve_chunk.first_env_frames) AS first_env_frames,
    max(curve_chunk.last_env_frames) AS last_env_frames
FROM v_runs
JOIN curve_chunk ON curve_chunk.attempt_id = v_runs.attempt_id
JOIN metric ON metric.id = curve_chunk.metric_id
WHERE v_runs.state IN ('finished', 'running')
GROUP BY v_runs.study, v_runs.run_id, metric.id
"""

VIEWS = (RUNS, SCORES, CURVES_INDEX)
