"""Exchange: scores in other people's files, in and out.

A format is one file of this package: `read` makes drafts of records of a file and writes
nothing, `write` makes a file of records. `checking` turns drafts into records or says what is
wrong with them, `assembly` makes a study of records, and `results.database.imports` is the one
place that writes it.
"""
