"""What recipients see."""
