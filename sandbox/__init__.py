"""Stands outside the bot: a stand-in Telegram, a stand-in M-Pesa and the page that shows them.

Nothing here imports from `escrow`, and `escrow` never imports this.
"""
