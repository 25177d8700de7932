"""What the state topics hold, a file for each: the newest record of a key wins."""
