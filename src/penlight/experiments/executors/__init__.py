"""Where the work of an experiment is done: in this process, in several, as jobs of a cluster."""
