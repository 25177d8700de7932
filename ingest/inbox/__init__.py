"""The inbox: reads the senders' mailboxes over IMAP and puts every mail on the topic `mail`, changing nothing there."""
