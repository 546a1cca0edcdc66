"""The multi-Region retail store: six services, two Aurora global clusters, one global table, operator runbooks."""
