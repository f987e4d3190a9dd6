"""How a deployment answers: its plan, routing, batching and engine; no HTTP in here."""
