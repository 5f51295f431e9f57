"""`python -m rfdsm.cli`, the same as the `rfdsm` script."""

from rfdsm.cli._app import main

raise SystemExit(main())
