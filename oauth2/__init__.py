"""Access tokens of mailboxes by OAuth 2.0: renewed in time, kept, and shared by the processes of a machine."""
