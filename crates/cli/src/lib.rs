//! IO shell. The commands people type: clap types in one file, one file per verb.
