"""`/v1/providers`: what mail providers report of the emails that left through them."""
