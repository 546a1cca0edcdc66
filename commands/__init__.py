"""The `drill` command, one verb a file, and the wiring that it shares with conftest.py.

These two are the composition roots: nothing else reads arguments or the environment.
"""
