"""The audit trail: who did what, with which outcome. Events are made in `api.audit`."""
