//! The unit files that tests use, already in canonical form: what `flota cat` prints.

/// The port that a web container has on its machine.
pub const WEB_PORT: u16 = 8080;

/// A web server in a container, at most one per machine.
pub const WEB: &str = "[Unit]
Description=Web page %i
Requires=docker.service
After=docker.service

[Service]
ExecStartPre=-/usr/bin/docker rm -f web-%i
ExecStart=/usr/bin/docker run --rm --name web-%i -e NAME=%i -e MACHINE=%H -p 8080:80 flota/web:1
ExecStop=/usr/bin/docker stop web-%i

[X-Fleet]
Conflicts=web@*
";

/// A container that writes down when it lives (see [`crate::Beats`]).
pub const BEAT: &str = "[Unit]
Description=Beat %i
Requires=docker.service
After=docker.service

[Service]
ExecStartPre=-/usr/bin/docker rm -f beat-%i
ExecStart=/usr/bin/docker run --rm --name beat-%i -v /var/lib/beats:/beats flota/web:1 beat %p-%i
ExecStop=/usr/bin/docker stop beat-%i
";

/// A plain process, at most one per machine.
pub const SLEEP: &str = "[Unit]
Description=Sleeper %i

[Service]
ExecStart=/bin/sleep infinity

[X-Fleet]
Conflicts=sleep@*
";
