"""What the commands, the server and a notebook call: train, evaluate, compare, predict, explain, export, report.

Each function takes plain values, raises a PenlightError where a user can help, and gives a result whose
`to_dict()` is the JSON of the command.
"""
