"""The customer's page: what stands there, the links that open it, and what customers ask for on it."""
