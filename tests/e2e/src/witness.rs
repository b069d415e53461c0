//! What must stay as it is while daemons and stores come and go.

use std::collections::BTreeMap;

use crate::node::Node;

/// For each unit that Flota installed: whether systemd has touched it. `InvocationID` and `ActiveEnterTimestamp` change
/// with each start, `NRestarts` with each automatic one.
const UNITS: &str = "cd /var/lib/flota/agent/units && for unit in *; do \
    test -e \"$unit\" && echo \"$unit\" $(systemctl show \"$unit\" -p ActiveState -p SubState -p MainPID -p NRestarts \
    -p InvocationID -p ActiveEnterTimestampMonotonic); done; true";

/// For each container: the process id of its first process, and when it was started.
const CONTAINERS: &str = "docker ps --quiet --no-trunc | xargs --no-run-if-empty \
    docker inspect --format '{{.Name}} pid={{.State.Pid}} started={{.State.StartedAt}} restarts={{.RestartCount}}'";

/// The processes of all units and containers on some machines, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness(BTreeMap<String, String>);

impl Witness {
    /// Looks at these machines.
    #[track_caller]
    pub fn of(nodes: &[Node<'_>]) -> Witness {
        let mut seen = BTreeMap::new();
        for node in nodes {
            for script in [UNITS, CONTAINERS] {
                for line in node.ask(script).lines() {
                    let (name, state) = line.split_once(' ').expect("a name and a state");
                    seen.insert(format!("{} {name}", node.name), state.to_owned());
                }
            }
        }
        Witness(seen)
    }

    /// How many units and containers there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Panics unless every process is the one that it was.
    #[track_caller]
    pub fn unchanged(&self, nodes: &[Node<'_>], after: &str) {
        let now = Witness::of(nodes);
        let here = |name: &&String| nodes.iter().any(|node| name.split(' ').next() == Some(node.name));
        let before: BTreeMap<_, _> = self.0.iter().filter(|(name, _)| here(name)).collect();
        assert_eq!(before, now.0.iter().collect(), "processes have changed after {after}");
    }

    /// Panics unless every process of `later` is one that was there.
    #[track_caller]
    pub fn has_all_of(&self, later: &Witness, after: &str) {
        let strangers: Vec<_> = later.0.iter().filter(|(name, state)| self.0.get(*name) != Some(state)).collect();
        assert!(strangers.is_empty(), "after {after} these are not the processes that they were: {strangers:#?}");
    }
}
