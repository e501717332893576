"""A site's mailbox: deliver, collect, open, answer."""
