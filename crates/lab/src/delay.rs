//! A slow cable: the kernel hands every packet of a machine to this program, which lets it go when its time has come.
//!
//! Kernels without `netem` can do this too: netfilter's queues are all it takes.

use std::collections::VecDeque;
use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use nfq::{Message, Queue, Verdict};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::error::{LabError, Result};
use crate::exec;
use crate::run;

/// Netfilter's number of the queue; each machine has numbers of its own.
const QUEUE: u16 = 7;

/// Packets that may be under way at once; more are lost, as on a real cable.
const MAX_PACKETS: u32 = 20_000;

/// How exact delays are.
const TICK: Duration = Duration::from_millis(2);

/// Both ends of the machine's cable, before and behind everything else that looks at packets, Docker's rules too.
const RULES: [[&str; 4]; 2] = [["PREROUTING", "-i", "host0", "-j"], ["POSTROUTING", "-o", "host0", "-j"]];

/// Packets of one machine are late as long as this lives.
#[derive(Debug)]
pub struct Delay {
    leader: u32,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Delay {
    pub(crate) fn begin(leader: u32, time: Duration) -> Result<Self> {
        let path = format!("/proc/{leader}/ns/net");
        let network = File::open(&path).map_err(LabError::io("open", &path))?;
        let stop = Arc::new(AtomicBool::new(false));
        let (opened, told) = channel();
        let work = {
            let stop = Arc::clone(&stop);
            move || hold(&network, time, &stop, &opened)
        };
        let thread = std::thread::Builder::new().name("delay".into()).spawn(work);
        let thread = thread.map_err(LabError::io("start", "a thread"))?;
        let delay = Self { leader, stop, thread: Some(thread) };
        // A thread that ended without a word has none to give.
        told.recv().unwrap_or(Ok(())).map_err(LabError::io("open", "a netfilter queue"))?;
        for rule in RULES {
            run::run(&mut exec::command_in(leader, &iptables("-I", rule)))?;
        }
        Ok(delay)
    }
}

impl Drop for Delay {
    fn drop(&mut self) {
        for rule in RULES {
            // The machine may be off: then its rules are gone, too.
            let _ = run::output(&mut exec::command_in(self.leader, &iptables("-D", rule)));
        }
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Should this program end, packets pass (`--queue-bypass`).
fn iptables(verb: &str, rule: [&str; 4]) -> Vec<String> {
    let number = QUEUE.to_string();
    let words =
        [&["iptables", "--wait", "-t", "mangle", verb], &rule[..], &["NFQUEUE", "--queue-bypass", "--queue-num"]];
    words.concat().into_iter().chain([number.as_str()]).map(str::to_owned).collect()
}

/// The thread's life: in the machine's network, which only this thread enters.
fn hold(network: &File, time: Duration, stop: &AtomicBool, opened: &Sender<std::io::Result<()>>) {
    let mut queue = match open(network) {
        Ok(queue) => queue,
        Err(error) => return drop(opened.send(Err(error))),
    };
    if opened.send(Ok(())).is_err() {
        return;
    }
    let mut late: VecDeque<(Instant, Message)> = VecDeque::new();
    // What is under way when the delay ends still arrives.
    while !stop.load(Ordering::Relaxed) || !late.is_empty() {
        loop {
            match queue.recv() {
                Ok(message) => late.push_back((Instant::now() + time, message)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // Packets that the kernel could not hand over are lost, which is no reason to lose all others.
                Err(_) => break,
            }
        }
        while late.front().is_some_and(|(due, _)| *due <= Instant::now()) {
            if let Some((_, mut message)) = late.pop_front() {
                message.set_verdict(Verdict::Accept);
                // Its network may have gone with its machine.
                let _ = queue.verdict(message);
            }
        }
        sleep(TICK);
    }
}

fn open(network: &File) -> std::io::Result<Queue> {
    move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
    let mut queue = Queue::open()?;
    queue.bind(QUEUE)?;
    queue.set_queue_max_len(QUEUE, MAX_PACKETS)?;
    queue.set_recv_gso(QUEUE, true)?;
    // Packets stay in the kernel, only their numbers travel.
    queue.set_copy_range(QUEUE, 0)?;
    queue.set_nonblocking(true);
    Ok(queue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_and_queue_have_one_number() {
        let line = iptables("-I", RULES[0]).join(" ");
        assert_eq!(line, "iptables --wait -t mangle -I PREROUTING -i host0 -j NFQUEUE --queue-bypass --queue-num 7");
        assert!(line.ends_with(&format!(" {QUEUE}")));
    }
}
