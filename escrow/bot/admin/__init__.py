"""The admins' desk: what admins see and press. Registered through `escrow_handlers_admin`."""
