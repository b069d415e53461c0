//! The lines of the peer port.

use std::io;

use flota_engine::Reach;
use flota_registry::MachineId;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest line, its end included; whoever sends a longer one is not answered.
const MAX_LINE_BYTES: usize = 128;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    /// Who is there?
    Alive,
    /// How do you find that machine?
    Reach(MachineId),
    /// What time is it?
    Clock,
}

impl Question {
    /// Reads a line; `None` for one that asks nothing known.
    pub(super) fn parse(line: &str) -> Option<Question> {
        match line.split_once(' ') {
            None if line == "alive" => Some(Question::Alive),
            None if line == "clock" => Some(Question::Clock),
            Some(("reach", id)) => id.parse().ok().map(Question::Reach),
            _ => None,
        }
    }

    /// The line that asks it.
    pub(super) fn line(&self) -> String {
        match self {
            Question::Alive => "alive\n".to_owned(),
            Question::Reach(machine) => format!("reach {machine}\n"),
            Question::Clock => "clock\n".to_owned(),
        }
    }
}

/// The answer to [`Question::Alive`].
pub(super) fn here(me: &MachineId, boot_id: &str) -> String {
    format!("flota {me} {boot_id}\n")
}

/// Whose answer to [`Question::Alive`] a line is.
pub(super) fn who(line: &str) -> Option<MachineId> {
    let mut words = line.split(' ');
    (words.next() == Some("flota")).then_some(())?;
    words.next()?.parse().ok()
}

/// The answer to [`Question::Reach`].
pub(super) fn found(reach: Reach) -> &'static str {
    match reach {
        Reach::Alive => "alive\n",
        Reach::NoDaemon => "no-daemon\n",
        Reach::Silent => "silent\n",
    }
}

/// What an answer to [`Question::Reach`] says.
pub(super) fn parse_found(line: &str) -> Option<Reach> {
    match line {
        "alive" => Some(Reach::Alive),
        "no-daemon" => Some(Reach::NoDaemon),
        "silent" => Some(Reach::Silent),
        _ => None,
    }
}

/// The answer to [`Question::Clock`], in milliseconds since 1970.
pub(super) fn time(unix_ms: u64) -> String {
    format!("clock {unix_ms}\n")
}

/// What an answer to [`Question::Clock`] says.
pub(super) fn parse_time(line: &str) -> Option<u64> {
    line.strip_prefix("clock ")?.parse().ok()
}

/// Reads one line, without its end; what follows it is left aside.
pub(super) async fn read_line(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut line = [0; MAX_LINE_BYTES];
    let mut filled = 0;
    loop {
        let count = stream.read(&mut line[filled..]).await?;
        let end = line[filled..filled + count].iter().position(|byte| *byte == b'\n').map(|at| filled + at);
        filled += count;
        match end {
            Some(end) => {
                let text = std::str::from_utf8(&line[..end]).map_err(|_| io::ErrorKind::InvalidData)?;
                return Ok(text.to_owned());
            }
            None if count == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            None if filled == MAX_LINE_BYTES => return Err(io::ErrorKind::InvalidData.into()),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn lines_read_back() {
        let machine: MachineId = ID.parse().unwrap();
        for question in [Question::Alive, Question::Reach(machine.clone()), Question::Clock] {
            assert_eq!(Question::parse(question.line().trim_end()), Some(question));
        }
        for reach in [Reach::Alive, Reach::NoDaemon, Reach::Silent] {
            assert_eq!(parse_found(found(reach).trim_end()), Some(reach));
        }
        assert_eq!(who(here(&machine, "boot").trim_end()), Some(machine));
        assert_eq!(parse_time(time(1_800_000_000_123).trim_end()), Some(1_800_000_000_123));
    }

    #[test]
    fn other_lines_are_nothing() {
        for line in ["", "alive ", "ALIVE", "reach", "reach x", "GET / HTTP/1.1", &format!("reach {ID} more")] {
            assert_eq!(Question::parse(line), None, "{line}");
        }
        for line in ["", "flota", "flota x y", &format!("etcd {ID} b")] {
            assert_eq!(who(line), None, "{line}");
        }
        assert_eq!(parse_found("yes"), None);
        for line in ["", "clock", "clock ", "clock -1", "clock 1 2", "alive"] {
            assert_eq!(parse_time(line), None, "{line}");
        }
    }

    #[tokio::test]
    async fn a_line_has_an_end_and_a_bound() {
        assert_eq!(read_line(&mut &b"alive\nrest"[..]).await.unwrap(), "alive");
        let longest = [vec![b'x'; MAX_LINE_BYTES - 1], vec![b'\n']].concat();
        assert_eq!(read_line(&mut &longest[..]).await.unwrap().len(), MAX_LINE_BYTES - 1);
        for wrong in [&b"alive"[..], b"\xff\n", &[b'x'; MAX_LINE_BYTES + 1]] {
            assert!(read_line(&mut &wrong[..]).await.is_err(), "{wrong:?}");
        }
    }
}
