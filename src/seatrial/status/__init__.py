"""How a study stands, also while it runs: what its records, the executor's notes and Slurm's queue say together."""
