"""The one HTTP server: provider callbacks, Telegram's webhook, health, metrics."""
