"""The remittance API: a token-guarded API Gateway in two Regions, one Aurora global database, one runbook."""
