"""What all stages share. The only folder that knows Faust."""
