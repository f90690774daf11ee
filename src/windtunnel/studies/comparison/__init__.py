"""Methods tuned alike, carried to larger scales and compared: `windtunnel compare FILE.yaml`."""
