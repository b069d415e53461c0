//! IO shell. Configuration, the tasks that feed the pure machines, HTTP routes.
