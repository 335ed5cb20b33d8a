"""Views for people with sqlite3, pandas or Datasette; `reading` uses them too.

A migration that changes a view drops it and makes it anew from here; the migration before it
keeps its own words.
"""

from __future__ import annotations

LINEAGE = """
CREATE VIEW v_lineage AS
-- Which attempts the data of an attempt come from: its own (depth 0), and before them, where it
-- went on from a checkpoint, its parent's up to there, its grandparent's, and so on.
WITH RECURSIVE lineage (attempt_id, source_id, depth, until_env_frames) AS (
    SELECT id, id, 0, NULL FROM attempt
    UNION ALL
    SELECT lineage.attempt_id, child.parent_id, lineage.depth + 1, child.resumed_env_frames
    FROM lineage JOIN attempt AS child ON child.id = lineage.source_id
    WHERE child.parent_id IS NOT NULL
)
SELECT attempt_id, source_id, depth, until_env_frames FROM lineage
"""

RUNS = """
CREATE VIEW v_runs AS
-- One row per run of a study. `attempt_id` and what follows belong to the attempt that the run's
-- data come from: the finished one, or the one under way, or the one that failed. A queued run
-- has none: a lost or released attempt leaves only its `error` behind. An attempt that went on
-- from a checkpoint has a `parent_attempt`, and its `seconds` hold those of the attempts before
-- it, until they were last heard of. Nobody knows how long an imported run took.
SELECT
    study.name AS study, study.protocol, study_run.position,
    run.id AS run_id, run.identity, study_arm.name AS arm, run.game, run.seed, run.state,
    arm.env_frames AS planned_env_frames,
    coalesce(latest.number, 0) AS attempts,
    latest.error,
    shown.id AS attempt_id, shown.number AS attempt,
    parent.number AS parent_attempt, shown.resumed_env_frames,
    coalesce(shown.env_frames, 0) AS env_frames,
    coalesce(shown.updates, 0) AS updates,
    CASE WHEN imported_run.run_id IS NULL THEN coalesce(
        shown.seconds,
        (julianday(coalesce(shown.ended_at, shown.heartbeat_at)) - julianday(shown.started_at))
        * 86400.0
    ) + coalesce(past.seconds, 0.0) END AS seconds,
    worker.host, worker.pid, worker.device, shown.started_at, shown.heartbeat_at, shown.ended_at,
    run.priority, run.paused, run.not_before, run.losses, run.memory_bytes
FROM study_run
JOIN study ON study.id = study_run.study_id
JOIN run ON run.id = study_run.run_id
JOIN arm ON arm.id = run.arm_id
LEFT JOIN imported_run ON imported_run.run_id = run.id
JOIN study_arm ON study_arm.study_id = study.id AND study_arm.arm_id = arm.id
LEFT JOIN attempt AS latest ON latest.run_id = run.id AND latest.number = (
    SELECT max(number) FROM attempt WHERE attempt.run_id = run.id
)
LEFT JOIN attempt AS shown
    ON shown.id = latest.id AND run.state IN ('finished', 'running', 'failed')
LEFT JOIN attempt AS parent ON parent.id = shown.parent_id
LEFT JOIN (
    SELECT
        v_lineage.attempt_id,
        sum(julianday(earlier.heartbeat_at) - julianday(earlier.started_at)) * 86400.0 AS seconds
    FROM v_lineage JOIN attempt AS earlier ON earlier.id = v_lineage.source_id
    WHERE v_lineage.depth > 0
    GROUP BY v_lineage.attempt_id
) AS past ON past.attempt_id = shown.id
LEFT JOIN worker ON worker.id = shown.worker_id
"""

EVALUATIONS = """
CREATE VIEW v_evaluations AS
-- One row per test episode of a run that is finished or under way. An evaluation that an attempt
-- repeated after it went on from a checkpoint counts once.
SELECT
    study, protocol, position, run_id, arm, game, seed, state,
    env_frames, final, policy, episode, episode_return, length, truncated
FROM (
    SELECT
        v_runs.study, v_runs.protocol, v_runs.position, v_runs.run_id, v_runs.arm, v_runs.game,
        v_runs.seed, v_runs.state,
        evaluation.env_frames, evaluation.final, evaluation.policy, evaluation.episode,
        evaluation.episode_return, evaluation.length, evaluation.truncated,
        v_lineage.depth,
        min(v_lineage.depth) OVER (
            PARTITION BY v_runs.study, v_runs.run_id,
                evaluation.env_frames, evaluation.final, evaluation.policy
        ) AS nearest
    FROM v_runs
    JOIN v_lineage ON v_lineage.attempt_id = v_runs.attempt_id
    JOIN evaluation ON evaluation.attempt_id = v_lineage.source_id
        AND (
            v_lineage.until_env_frames IS NULL
            OR evaluation.env_frames <= v_lineage.until_env_frames
        )
    WHERE v_runs.state IN ('finished', 'running')
)
WHERE depth = nearest
"""

SCORES = """
CREATE VIEW v_scores AS
-- One row per finished run, policy and normalization table: the mean return of the final
-- evaluation, and its normalised score (0 is the random player, 1 the human one; in the table
-- "declared" 1 is the reference player that the task itself names).
SELECT
    v_evaluations.study, v_evaluations.protocol, v_evaluations.run_id, v_evaluations.arm,
    v_evaluations.game, v_evaluations.seed, v_evaluations.env_frames, v_evaluations.policy,
    count(*) AS episodes, sum(v_evaluations.truncated) AS truncated_episodes,
    avg(v_evaluations.episode_return) AS mean_return,
    normalization.table_id,
    (avg(v_evaluations.episode_return) - normalization.random_return)
        / (normalization.human_return - normalization.random_return) AS score
FROM v_evaluations
LEFT JOIN normalization ON normalization.game_key = lower(v_evaluations.game)
WHERE v_evaluations.final AND v_evaluations.state = 'finished'
GROUP BY v_evaluations.study, v_evaluations.run_id, v_evaluations.env_frames,
    v_evaluations.policy, normalization.table_id
"""

CURVES_INDEX = """
CREATE VIEW v_curves_index AS
-- One row per curve of a run that is finished or under way; the points are compressed, and
-- results.database.reading.curve unpacks them. (Every checkpoint ends the chunks before it, so
-- what a parent gives to its child is whole chunks.)
SELECT
    v_runs.study, v_runs.run_id, v_runs.arm, v_runs.game, v_runs.seed, v_runs.state,
    metric.name AS metric, count(*) AS chunks, sum(curve_chunk.points) AS points,
    min(curve_chunk.first_env_frames) AS first_env_frames,
    max(curve_chunk.last_env_frames) AS last_env_frames
FROM v_runs
JOIN v_lineage ON v_lineage.attempt_id = v_runs.attempt_id
JOIN curve_chunk ON curve_chunk.attempt_id = v_lineage.source_id
    AND (
        v_lineage.until_env_frames IS NULL
        OR curve_chunk.last_env_frames <= v_lineage.until_env_frames
    )
JOIN metric ON metric.id = curve_chunk.metric_id
WHERE v_runs.state IN ('finished', 'running')
GROUP BY v_runs.study, v_runs.run_id, metric.id
"""

VIEWS = (LINEAGE, RUNS, EVALUATIONS, SCORES, CURVES_INDEX)
