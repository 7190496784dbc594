"""What the benchmark tells a peer, in its environment."""

import os

DATABASE_URL = os.environ.get("DATABASE_URL", "")
CONNECTIONS = int(os.environ.get("CONNECTIONS", "10"))
"""To the database, for each process."""
ROWS = os.environ.get("ROWS", "")
"""The file with the rows to begin with, for a peer without a database."""
