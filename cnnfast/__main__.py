"""`python -m cnnfast` is the command `cnnfast`."""

import sys

from cnnfast.cli import main

sys.exit(main())
