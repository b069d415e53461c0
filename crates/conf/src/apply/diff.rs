//! What would change in a file, for people.

use std::fs;
use std::path::Path;

use similar::TextDiff;

/// Lines around a change.
const CONTEXT: usize = 3;

/// The difference between a file and what it should be, as `diff -u` writes it; empty if there is none. Bytes that are no text
/// are told of, not shown.
pub fn unified(dest: &Path, content: &[u8]) -> String {
    let old = fs::read(dest).ok();
    let name = dest.display().to_string();
    let old_name = if old.is_some() { name.clone() } else { "/dev/null".to_owned() };
    let old = old.unwrap_or_default();
    if old == content {
        return String::new();
    }
    match (std::str::from_utf8(&old), std::str::from_utf8(content)) {
        (Ok(old), Ok(new)) => {
            let diff = TextDiff::from_lines(old, new);
            diff.unified_diff().context_radius(CONTEXT).header(&old_name, &name).to_string()
        }
        _ => format!("Binary files {old_name} and {name} differ\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_written_as_diff_does() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, "a\nb\nc\n").unwrap();
        let shown = unified(&path, b"a\nB\nc\n");
        assert!(shown.ends_with("@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"), "{shown}");
        assert_eq!(unified(&path, b"a\nb\nc\n"), "");
        assert!(unified(&dir.path().join("none"), b"x\n").starts_with("--- /dev/null\n"));
        assert!(unified(&path, b"\xff").starts_with("Binary files"));
    }
}
