"""cnnfast called from other frameworks: each module needs its own, and says so where that is not there."""
