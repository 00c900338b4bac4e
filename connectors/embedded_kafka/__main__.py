"""`python -m connectors.embedded_kafka`: one broker until Ctrl-C."""

import sys

from connectors.embedded_kafka.foreground import serve

sys.exit(serve())
