"""Changes to what is answered, made without a new model; each approved, dated and recorded."""
