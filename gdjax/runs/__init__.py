"""What a run is: its state, its results, its file and its checkpoints."""
