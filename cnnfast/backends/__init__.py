"""The engines behind the ops: `native` (the compiled library) and `reference` (the oracle). None imports another."""
