//! SRV records: one question to the name servers of `resolv.conf`, over UDP, and over TCP where the answer is too long.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE, rdata::RData};

/// Name servers that are asked, as the C library does it.
const MAX_SERVERS: usize = 3;
/// How often all of them are asked.
const ROUNDS: usize = 2;
/// How long one has for its answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Largest answer over UDP that is taken in.
const MAX_DATAGRAM: usize = 4096;

/// Where a service is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// The name of the machine, with a dot at its end.
    pub target: String,
    /// The port.
    pub port: u16,
    /// Lower ones first.
    pub priority: u16,
    /// Among equals.
    pub weight: u16,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SrvError {
    /// The name cannot be asked for.
    #[error("`{0}` is no name for DNS")]
    Name(String),
    /// Nobody answered.
    #[error("no name server answers for {name}")]
    NoAnswer {
        /// What was asked for.
        name: String,
        /// The last error.
        #[source]
        source: io::Error,
    },
    /// There is no such record.
    #[error("there is no SRV record {0}")]
    None(String),
}

/// Asks the system's name servers; blocks for up to twelve seconds.
pub fn lookup(name: &str) -> Result<Vec<Record>, SrvError> {
    lookup_at(name, &servers(&fs::read_to_string("/etc/resolv.conf").unwrap_or_default()))
}

/// Asks these name servers, one after the other.
pub fn lookup_at(name: &str, servers: &[SocketAddr]) -> Result<Vec<Record>, SrvError> {
    let wrong = || SrvError::Name(name.to_owned());
    let id = random_id();
    let mut question = Packet::new_query(id);
    question.set_flags(PacketFlag::RECURSION_DESIRED);
    let asked = Name::new(name.trim_end_matches('.')).map_err(|_| wrong())?;
    question.questions.push(Question::new(asked, QTYPE::TYPE(TYPE::SRV), QCLASS::CLASS(CLASS::IN), false));
    let question = question.build_bytes_vec().map_err(|_| wrong())?;
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for server in (0..ROUNDS).flat_map(|_| servers) {
        match ask(*server, &question, id) {
            Ok(Answer::Records(records)) if !records.is_empty() => return Ok(records),
            Ok(_) => return Err(SrvError::None(name.to_owned())),
            Err(error) => last = error,
        }
    }
    Err(SrvError::NoAnswer { name: name.to_owned(), source: last })
}

/// What `resolv.conf` names; the machine itself if it names none.
fn servers(resolv_conf: &str) -> Vec<SocketAddr> {
    let lines = resolv_conf.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let addresses = lines.filter_map(|rest| rest.split_whitespace().next()?.parse::<IpAddr>().ok());
    let servers: Vec<SocketAddr> = addresses.take(MAX_SERVERS).map(|ip| SocketAddr::new(ip, 53)).collect();
    if servers.is_empty() { vec![SocketAddr::from(([127, 0, 0, 1], 53))] } else { servers }
}

enum Answer {
    Records(Vec<Record>),
    NoSuchName,
    Truncated,
}

fn ask(server: SocketAddr, question: &[u8], id: u16) -> io::Result<Answer> {
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    socket.send(question)?;
    let deadline = Instant::now() + ANSWER_WITHIN;
    let mut buffer = [0; MAX_DATAGRAM];
    loop {
        let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
        socket.set_read_timeout(Some(left.ok_or(io::ErrorKind::TimedOut)?))?;
        let length = socket.recv(&mut buffer)?;
        // Whatever is no answer to this question is somebody else's, or a forgery.
        match read(&buffer[..length], id) {
            Some(Answer::Truncated) => return ask_at_length(server, question, id),
            Some(answer) => return Ok(answer),
            None => {}
        }
    }
}

fn ask_at_length(server: SocketAddr, question: &[u8], id: u16) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&server, ANSWER_WITHIN)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.set_write_timeout(Some(ANSWER_WITHIN))?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_be_bytes())?;
    stream.write_all(question)?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer)?;
    match read(&answer, id) {
        Some(Answer::Truncated) | None => Err(io::Error::from(io::ErrorKind::InvalidData)),
        Some(answer) => Ok(answer),
    }
}

fn read(bytes: &[u8], id: u16) -> Option<Answer> {
    let packet = Packet::parse(bytes).ok()?;
    if packet.id() != id || !packet.has_flags(PacketFlag::RESPONSE) {
        return None;
    }
    if packet.has_flags(PacketFlag::TRUNCATION) {
        return Some(Answer::Truncated);
    }
    match packet.rcode() {
        RCODE::NoError => {}
        RCODE::NameError => return Some(Answer::NoSuchName),
        _ => return None,
    }
    let records = packet.answers.iter().filter_map(|answer| match &answer.rdata {
        RData::SRV(srv) => Some(Record {
            target: format!("{}.", srv.target.to_string().trim_end_matches('.')),
            port: srv.port,
            priority: srv.priority,
            weight: srv.weight,
        }),
        _ => None,
    });
    let mut records: Vec<Record> = records.collect();
    records.sort_by(|a, b| (a.priority, b.weight, &a.target, a.port).cmp(&(b.priority, a.weight, &b.target, b.port)));
    Some(Answer::Records(records))
}

/// A number that others do not know. The kernel's is as good as any; without it the port alone is a secret.
fn random_id() -> u16 {
    let mut id = [0; 2];
    let _ = rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty());
    u16::from_ne_bytes(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::{ResourceRecord, rdata::SRV};

    /// A name server that answers each question it gets with these records.
    fn server(records: &'static [(&'static str, u16, u16, u16)]) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            // Not an answer: it must be passed over.
            socket.send_to(b"nonsense", from).unwrap();
            let question = Packet::parse(&buffer[..length]).unwrap();
            let name = question.questions[0].qname.clone();
            let mut answer = Packet::new_reply(question.id());
            if records.is_empty() {
                *answer.rcode_mut() = RCODE::NameError;
            }
            for (target, port, priority, weight) in records {
                let target = Name::new(target).unwrap();
                let srv = SRV { priority: *priority, weight: *weight, port: *port, target };
                answer.answers.push(ResourceRecord::new(name.clone(), CLASS::IN, 60, RData::SRV(srv)));
            }
            socket.send_to(&answer.build_bytes_vec().unwrap(), from).unwrap();
        });
        address
    }

    #[test]
    fn records_come_by_priority_and_then_by_weight() {
        let server = server(&[("c.example.net", 1, 20, 0), ("a.example.net", 2, 10, 1), ("b.example.net", 3, 10, 9)]);
        let records = lookup_at("_etcd._tcp.example.net.", &[server]).unwrap();
        let targets: Vec<&str> = records.iter().map(|record| record.target.as_str()).collect();
        assert_eq!(targets, ["b.example.net.", "a.example.net.", "c.example.net."]);
        assert_eq!(records[0].port, 3);
    }

    #[test]
    fn a_name_that_is_not_there_is_told_by_its_name() {
        let error = lookup_at("_x._tcp.example.net", &[server(&[])]).unwrap_err();
        assert_eq!(error.to_string(), "there is no SRV record _x._tcp.example.net");
    }

    #[test]
    fn name_servers_come_from_resolv_conf() {
        let text = "# comment\nnameserver 10.0.0.1\nsearch a\n nameserver ::1 \nnameserver x\n";
        assert_eq!(servers(text), ["10.0.0.1:53".parse().unwrap(), "[::1]:53".parse().unwrap()]);
        assert_eq!(servers(""), ["127.0.0.1:53".parse().unwrap()]);
    }
}
