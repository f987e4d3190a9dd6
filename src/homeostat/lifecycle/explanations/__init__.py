"""Why a model answered as it did: contributions, reason codes, what would have to change."""
