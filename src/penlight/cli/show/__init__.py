"""What the commands print: for people, tables and one line of progress; for programs, JSON alone.

A file for each subject; a command imports its own, so that it waits for nothing else.
"""
