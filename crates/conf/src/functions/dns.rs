//! Functions that ask for names.

use std::collections::BTreeSet;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;

use flota_gotemplate::{Functions, List, Object, Str, Type, Value};

use super::arguments::{list, strings, utf8};
use crate::backend::srv::{self, Record};

/// Adds them. What cannot be found is an empty list.
pub(super) fn add(functions: &mut Functions) {
    type Wanted = fn(&IpAddr) -> bool;
    let kinds: [(&str, Wanted); 3] =
        [("lookupIP", |_| true), ("lookupIPV4", IpAddr::is_ipv4), ("lookupIPV6", IpAddr::is_ipv6)];
    for (name, wanted) in kinds {
        functions.insert(name, strings(1), move |args| {
            let host = utf8(args, 0);
            let found = (host.as_str(), 0).to_socket_addrs().into_iter().flatten();
            let addresses = found.map(|address| address.ip()).filter(wanted).map(|ip| ip.to_string());
            Ok(list(addresses.collect::<BTreeSet<_>>().into_iter().map(Str::from)))
        });
    }
    functions.insert("lookupSRV", strings(3), |args| {
        let name = match (utf8(args, 0).as_str(), utf8(args, 1).as_str()) {
            ("", "") => utf8(args, 2),
            (service, protocol) => format!("_{service}._{protocol}.{}", utf8(args, 2)),
        };
        let mut records = srv::lookup(&name).unwrap_or_default();
        records.sort_by_key(|record| format!("{}{}{}{}", record.target, record.port, record.priority, record.weight));
        let records = records.into_iter().map(|record| Value::Object(Arc::new(Service(record))));
        Ok(List::new(Type::named("*net.SRV"), records.collect()).into())
    });
}

#[derive(Debug)]
struct Service(Record);

impl Service {
    fn all(&self) -> [(&'static str, Value); 4] {
        let Record { target, port, priority, weight } = &self.0;
        let number = |value: u16| Value::from(i64::from(value));
        [
            ("Target", target.as_str().into()),
            ("Port", number(*port)),
            ("Priority", number(*priority)),
            ("Weight", number(*weight)),
        ]
    }
}

impl Object for Service {
    fn type_name(&self) -> &'static str {
        "net.SRV"
    }

    fn field(&self, name: &str) -> Option<Value> {
        self.all().into_iter().find(|(field, _)| *field == name).map(|(_, value)| value)
    }

    fn fields(&self) -> Vec<(&str, Value)> {
        self.all().to_vec()
    }
}
