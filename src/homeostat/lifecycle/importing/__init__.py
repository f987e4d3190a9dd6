"""Taking over what another platform kept: experiments, runs, models and their files."""
