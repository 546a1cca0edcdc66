"""`python -m lab SYSTEM`: run a stand-in until stdin closes. It says one JSON line: ready, or the error."""

from __future__ import annotations

import sys

from lab.keeper import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
