"""Pure rules: money, flow, terms, codes. No I/O, no async, no clock."""
