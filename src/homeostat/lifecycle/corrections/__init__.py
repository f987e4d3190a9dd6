"""What changes live answers without a new version: thresholds, rules, abstaining."""
