"""One module per role, loaded only by the worker that plays it: custody installs nothing else."""
