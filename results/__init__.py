"""The record: database, statistics, tables and figures; imports without torch."""
