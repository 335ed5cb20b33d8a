"""Commands that messages recommend: what the user typed, so that they work when copied."""

import os
import shlex

from ablate.cli.options import DATABASE, DATABASE_VARIABLE
from ablate.study_files import study_name


def command(words: str, study: str | None, db: str, *options: str) -> str:
    """A command line for the same study and the same database.

    Args:
        words: The command.
        study: The study as it was typed, a path or a name; None for a command about all.
        db: The database in use; named only if the command would open another without it.
        options: What follows.
    """
    line = ["ablate", *words.split(), *([] if study is None else [study]), *options]
    if db != (os.environ.get(DATABASE_VARIABLE) or DATABASE):
        line += ["--db", db]
    return shlex.join(line)


def retry(study: str, db: str) -> str:
    """What to do about the failed runs of a study, typed as a path or known by its name."""
    name = study_name(study)
    return f"Try them again: {command('queue retry', name, db)} && {command('work', name, db)}"
