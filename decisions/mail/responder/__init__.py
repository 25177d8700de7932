"""Programs that answer for a person, told by what they say."""
