//! A fake systemd.
