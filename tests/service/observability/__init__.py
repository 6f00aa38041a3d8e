"""Metrics and log lines. The tests read them as a scraper and a log collector do."""
