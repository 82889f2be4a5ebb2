"""How a run is made: the one loop, and what it starts, judges and tells."""
