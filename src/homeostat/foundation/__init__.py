"""What every floor stands on; knows no model, no run, no page."""
