//! Which parts of the tree have to be read: as few as possible.

use crate::keys::KeyPath;

/// The paths without those that are below another one.
pub fn covering(paths: impl IntoIterator<Item = KeyPath>) -> Vec<KeyPath> {
    let mut paths: Vec<KeyPath> = paths.into_iter().collect();
    paths.sort();
    paths.dedup();
    let mut kept: Vec<KeyPath> = Vec::new();
    for path in &paths {
        // `/a-b` sorts between `/a` and `/a/b`: a path's own parents are looked for, not the last one kept.
        let mut above = path.parent();
        let mut covered = false;
        while let Some(parent) = above {
            covered |= kept.binary_search(&parent).is_ok();
            above = parent.parent();
        }
        if !covered {
            kept.push(path.clone());
        }
    }
    kept
}

/// The deepest path that covers all; none of no paths.
pub fn common(paths: &[KeyPath]) -> Option<KeyPath> {
    let mut common = paths.first()?.clone();
    for path in paths {
        while !common.covers(path.as_str()) {
            common = common.parent()?;
        }
    }
    Some(common)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(texts: &[&str]) -> Vec<KeyPath> {
        texts.iter().map(|text| KeyPath::new(text)).collect()
    }

    #[test]
    fn what_is_below_another_path_is_read_with_it() {
        let found = covering(paths(&["/a/b", "/a", "/a-b", "/a/b/c", "/z/y", "/z/y"]));
        assert_eq!(found, paths(&["/a", "/a-b", "/z/y"]));
        assert_eq!(covering(paths(&["/", "/a"])), paths(&["/"]));
    }

    #[test]
    fn one_path_covers_all() {
        assert_eq!(common(&paths(&["/app/1", "/app/2/x"])), Some(KeyPath::new("/app")));
        assert_eq!(common(&paths(&["/app", "/apps"])), Some(KeyPath::new("/")));
        assert_eq!(common(&paths(&["/app"])), Some(KeyPath::new("/app")));
        assert_eq!(common(&[]), None);
    }
}
