"""Who is told of an alert, when and how: confirmation, silences, dependencies, deliveries.

`monitoring.alerts` keeps what is wrong; here it becomes a message, or does not. Above serving
and monitoring, because it reads the policy of a deployment; the loop opens alerts through it.
"""
