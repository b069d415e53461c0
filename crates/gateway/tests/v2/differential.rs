//! Random requests, one after the other, to Debian's etcd and to ours: the same answers.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::support::{Answer, Etcd, Served, request};

/// Requests of one run.
const REQUESTS: usize = 600;

/// A small generator, so that a failure can be repeated by its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.roll(of.len() as u64) as usize]
    }
}

const PATHS: [&str; 14] =
    ["/", "/a", "/a/b", "/a/b/c", "/a/b/d", "/a/_h", "/e", "/e/f", "/e/f/g", "/_x", "/_x/y", "/a-b", "/a/b/c/d", "/q"];

/// A request; `{…}` stands for the last index seen at a path, which each server knows its own of.
fn invent(dice: &mut Dice) -> (&'static str, String, String) {
    let path = *dice.pick(&PATHS);
    let condition = match dice.roll(12) {
        0 => "&prevExist=true".to_owned(),
        1 => "&prevExist=false".to_owned(),
        2 => format!("&prevValue=v{}", dice.roll(3)),
        3 => format!("&prevIndex={{{path}}}"),
        4 => format!("&prevIndex={{{path}}}&prevValue=v{}", dice.roll(3)),
        5 => "&prevIndex=1&prevExist=true".to_owned(),
        _ => String::new(),
    };
    let flag = |dice: &mut Dice, name: &str, of: u64| {
        if dice.roll(of) == 0 { format!("&{name}=true") } else { String::new() }
    };
    match dice.roll(10) {
        0..=3 => {
            let value = format!("value=v{}", dice.roll(3));
            let ttl = if dice.roll(5) == 0 { "&ttl=1000" } else { "" };
            let (dir, brief) = (flag(dice, "dir", 6), flag(dice, "noValueOnSuccess", 20));
            let refresh = dice.roll(8) == 0;
            let value = if refresh { "refresh=true&ttl=500".to_owned() } else { value };
            ("PUT", path.to_owned(), format!("{value}{ttl}{condition}{dir}{brief}"))
        }
        4 => ("POST", path.to_owned(), format!("value=p{}", flag(dice, "dir", 4))),
        5..=6 => {
            let (dir, recursive) = (flag(dice, "dir", 3), flag(dice, "recursive", 4));
            let condition = if condition.contains("prevExist") { String::new() } else { condition };
            ("DELETE", format!("{path}?x=1{condition}{dir}{recursive}"), String::new())
        }
        _ => ("GET", format!("{path}?sorted=true{}", flag(dice, "recursive", 2)), String::new()),
    }
}

/// One of the two, and what is known of its indexes: each change of the one is a change of the other, in the same order.
struct Server {
    addr: SocketAddr,
    first: i64,
    seen: BTreeMap<String, i64>,
}

impl Server {
    async fn new(addr: SocketAddr) -> Server {
        let first = request(addr, "GET", "/v2/keys/", "").await.index.unwrap();
        Server { addr, first, seen: BTreeMap::new() }
    }

    async fn ask(&mut self, (method, path, form): &(&str, String, String)) -> Answer {
        let (mut path, mut form) = (path.clone(), form.clone());
        for text in [&mut path, &mut form] {
            if let Some((before, rest)) = text.clone().split_once('{') {
                let (key, after) = rest.split_once('}').unwrap();
                *text = format!("{before}{}{after}", self.seen.get(key).unwrap_or(&1));
            }
        }
        let mut answer = request(self.addr, method, &format!("/v2/keys{path}"), &form).await;
        let node = answer.json();
        if let (Some(key), Some(index)) = (node["node"]["key"].as_str(), node["node"]["modifiedIndex"].as_i64()) {
            self.seen.insert(key.to_owned(), index);
        }
        let mut body = answer.json();
        self.relative(&mut body);
        answer.body = body.to_string();
        answer.index = answer.index.map(|index| index - self.first);
        answer
    }

    /// Indexes count from the first; the moments of ends and the indexes of directories and of creations are left out.
    fn relative(&self, value: &mut serde_json::Value) {
        use serde_json::Value;
        match value {
            Value::Array(values) => values.iter_mut().for_each(|value| self.relative(value)),
            Value::Object(fields) => {
                fields.remove("createdIndex");
                if fields.contains_key("dir") {
                    fields.remove("modifiedIndex");
                }
                if let Some(end) = fields.get_mut("expiration") {
                    *end = "then".into();
                }
                for (name, value) in fields.iter_mut() {
                    match (name.as_str(), value) {
                        ("modifiedIndex" | "index", Value::Number(number)) => {
                            *number = (number.as_i64().unwrap() - self.first).into();
                        }
                        ("key", Value::String(key)) => *key = self.numbered(key),
                        ("cause", Value::String(cause)) => *cause = self.compared(cause),
                        (_, value) => self.relative(value),
                    }
                }
            }
            _ => {}
        }
    }

    /// Entries made in order are named by their index.
    fn numbered(&self, key: &str) -> String {
        let name = |part: &str| match part.parse::<i64>() {
            Ok(index) if part.len() == 20 => format!("+{}", index - self.first),
            _ => part.to_owned(),
        };
        key.split('/').map(name).collect::<Vec<_>>().join("/")
    }

    /// `[7 != 9]`
    fn compared(&self, cause: &str) -> String {
        let number = |word: &str| match word.trim_matches(['[', ']']).parse::<i64>() {
            Ok(index) if index > 1 => format!("+{}", index - self.first),
            _ => word.to_owned(),
        };
        self.numbered(&cause.split(' ').map(number).collect::<Vec<_>>().join(" "))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_requests_are_answered_as_by_debians_etcd() {
    let (etcd, served) = (Etcd::start().await, Served::start().await);
    let seed = std::env::var("V2_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(4001);
    let runs = std::env::var("V2_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(3);
    for seed in seed..seed + runs {
        let (mut theirs, mut ours) = (Server::new(etcd.addr).await, Server::new(served.addr).await);
        let mut dice = Dice(seed);
        let mut asked = Vec::new();
        for _ in 0..REQUESTS {
            let next = invent(&mut dice);
            let (expected, answer) = (theirs.ask(&next).await, ours.ask(&next).await);
            asked.push(format!("{} {} {} -> {}", next.0, next.1, next.2, expected.status));
            let before = &asked[asked.len().saturating_sub(12)..];
            assert_eq!(answer, expected, "seed {seed}, request {}:\n{}", asked.len(), before.join("\n"));
        }
        for path in ["/a", "/e", "/_x", "/a-b", "/q"] {
            for server in [&theirs, &ours] {
                request(server.addr, "DELETE", &format!("/v2/keys{path}?recursive=true"), "").await;
            }
        }
    }
    served.close().await;
}
