"""What `cnnfast bench` runs: shapes, engines, timing in turns, the oracle as judge, tables and reports."""
