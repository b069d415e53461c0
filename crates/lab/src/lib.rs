//! IO. A cluster of Debian machines on one host (systemd-nspawn), and its faults.
