"""Pure mathematics: arrays in, frozen results out; no clock, no input or output."""
