"""What a step will cost on hardware that need not be here."""
