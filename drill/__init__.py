"""The core: changes and actions as data, the journal, the timeline, objectives and verdicts, and the Drill.

It imports nothing else of ours (held by tests/test_architecture.py).
"""
