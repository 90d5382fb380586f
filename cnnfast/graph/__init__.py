"""The one representation of a whole network: how it is improved, lowered, and run."""
