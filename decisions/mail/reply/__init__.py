"""What a person wrote in a reply, without quotes and signatures."""
