"""The balance and count services' tables."""

SCHEMA = """
CREATE TABLE balance (
    account_id text PRIMARY KEY,
    balance bigint NOT NULL CHECK (balance >= 0),
    last_transaction_id text NOT NULL
);
CREATE TABLE withdrawals (
    account_id text PRIMARY KEY,
    count int NOT NULL CHECK (count >= 0),
    last_transaction_id text NOT NULL
);
"""
