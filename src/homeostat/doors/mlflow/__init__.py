"""The MLflow REST protocol: stock clients work unchanged, over the same actions as the API."""
