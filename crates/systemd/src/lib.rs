//! IO. The machine's systemd over D-Bus: links, jobs, unit states, signals, sd_notify, socket activation.
