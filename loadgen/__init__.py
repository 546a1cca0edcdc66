"""The load: Locust users in a process of their own (`python -m loadgen.run`).

It imports only `drill`; nothing else imports it, because gevent changes the whole process that it runs in.
"""
