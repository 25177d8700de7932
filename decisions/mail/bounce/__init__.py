"""What a bounce or a refusal says, and of which recipients."""
