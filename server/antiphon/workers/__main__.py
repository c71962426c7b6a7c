"""`python -m antiphon.workers FD` is one worker; the supervisor starts it and talks to it over the socket FD."""

from __future__ import annotations

import sys

from antiphon.workers.startup import prepare_imports

if __name__ == "__main__":
    prepare_imports()
    from antiphon.workers.worker import main

    sys.exit(main(int(sys.argv[1])))
