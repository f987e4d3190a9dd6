"""`homeostat demo`: a simulated lender lives through four things that happen to models."""
