"""People: who gets no mail, what is known of somebody, and who is to be forgotten."""
