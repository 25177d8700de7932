"""Who may run which statement, decided from its tree."""
