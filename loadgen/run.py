"""`python -m loadgen.run CONFIG.json`: the load, in a process of its own.

Locust runs on gevent, and gevent has to replace the standard library's sockets before anything else is imported;
that is why this process exists and why this file imports nothing at its head.
"""

from gevent import monkey

monkey.patch_all()


def main() -> int:
    """Run until the owner closes stdin or sends SIGTERM; the exit code (0: ended as told, 1: a user broke)."""
    from drill.child import read_config
    from loadgen.session import Session, run

    return run(Session.from_config(read_config()))


if __name__ == "__main__":
    raise SystemExit(main())
