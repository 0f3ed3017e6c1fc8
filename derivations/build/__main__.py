"""`python -m derivations.build` rebuilds the documents."""

import sys

from derivations.build.gallery import main

sys.exit(main(sys.argv[1:]))
