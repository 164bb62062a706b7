"""Several trainings that belong together: which runs there are, in which order, and what of them is done."""
