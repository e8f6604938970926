"""SavedModels that TF Serving loads."""
