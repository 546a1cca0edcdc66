"""A cluster whose failover is followed by a replica outside, through a network load balancer that is turned."""
