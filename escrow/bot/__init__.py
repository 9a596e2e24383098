"""Telegram: translates updates into service calls, and answers into messages."""
