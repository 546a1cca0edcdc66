"""The embedded stand-in: multi-Region systems on loopback, reached only the way AWS is reached.

It imports nothing from the harness: it is the system under test.
"""
