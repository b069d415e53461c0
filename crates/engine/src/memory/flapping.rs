//! Machines that are lost and come back again and again: each time they are held off for longer.

use std::collections::BTreeMap;

use flota_registry::{HeldOff, MAX_NOTES, MachineId, Millis};

use crate::schedule::Reason;

/// How long a loss counts.
const MEMORY: Millis = Millis(600_000);
/// How long a machine is held off that comes back from its first loss; each further one doubles it.
const FIRST_HOLD: Millis = Millis(10_000);
/// Most losses that an earlier leader's word counts for; by then the hold is as long as it gets.
const MAX_LOSSES: usize = 16;

#[derive(Debug, Clone)]
struct Hold {
    until: Millis,
    span: Millis,
    losses: usize,
}

/// Who was lost when, and who is held off.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flapping {
    losses: BTreeMap<MachineId, Vec<Millis>>,
    holds: BTreeMap<MachineId, Hold>,
}

impl Flapping {
    /// Notes that a machine was lost.
    pub(crate) fn lost(&mut self, id: &MachineId, now: Millis) {
        let losses = self.losses.entry(id.clone()).or_default();
        losses.retain(|at| now.since(*at) < MEMORY);
        losses.push(now);
    }

    /// Holds off a machine that was lost and is back; tells for how long, if it does.
    pub(crate) fn back(&mut self, id: &MachineId, now: Millis, max_hold: Millis) -> Option<String> {
        self.losses.retain(|_, losses| {
            losses.retain(|at| now.since(*at) < MEMORY);
            !losses.is_empty()
        });
        let losses = self.losses.get(id)?.len();
        let doublings = u32::try_from(losses.saturating_sub(1)).unwrap_or(u32::MAX);
        let span = FIRST_HOLD.0.saturating_mul(2_u64.saturating_pow(doublings)).min(max_hold.0);
        let span = Millis(span);
        self.holds.insert(id.clone(), Hold { until: now.plus(span), span, losses });
        let reason = self.hold(id, now)?;
        Some(format!("machine {}: {reason}", id.short()))
    }

    /// Forgets what became of a machine: people have taken it in hand.
    pub(crate) fn forget(&mut self, id: &MachineId) {
        self.losses.remove(id);
        self.holds.remove(id);
    }

    /// Why nothing new may be placed on the machine, if it is held off.
    pub(crate) fn hold(&self, id: &MachineId, now: Millis) -> Option<Reason> {
        let hold = self.holds.get(id).filter(|hold| now < hold.until)?;
        Some(Reason::HeldOff { losses: hold.losses, left: hold.until.since(now) })
    }

    /// The machines that are held off, for the next leader.
    pub(crate) fn notes(&self, now: Millis) -> BTreeMap<MachineId, HeldOff> {
        let held = self.holds.iter().filter(|(_, hold)| now < hold.until).take(MAX_NOTES);
        held.map(|(id, hold)| (id.clone(), HeldOff { losses: hold.losses, span_ms: hold.span.0 })).collect()
    }

    /// Goes on where an earlier leader ended. Nobody knows how long ago that was, so each hold begins anew.
    pub(crate) fn go_on(&mut self, notes: &BTreeMap<MachineId, HeldOff>, now: Millis, max_hold: Millis) {
        for (id, held) in notes {
            let (losses, span) = (held.losses.min(MAX_LOSSES), Millis(held.span_ms).min(max_hold));
            self.losses.insert(id.clone(), vec![now; losses]);
            self.holds.insert(id.clone(), Hold { until: now.plus(span), span, losses });
        }
    }

    /// Drops what is over; returns when the next hold ends.
    pub(crate) fn next_end(&mut self, now: Millis) -> Option<Millis> {
        self.holds.retain(|_, hold| now < hold.until);
        self.holds.values().map(|hold| hold.until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_loss_within_ten_minutes_doubles_the_hold_up_to_ten_minutes() {
        let (mut flapping, id) = (Flapping::default(), "0123456789abcdef0123456789abcdef".parse().unwrap());
        let mut now = Millis(0);
        let mut spans = Vec::new();
        for _ in 0..9 {
            flapping.lost(&id, now);
            flapping.back(&id, now, Millis(600_000)).unwrap();
            let end = flapping.next_end(now).unwrap();
            spans.push(end.since(now).0 / 1000);
            assert!(flapping.hold(&id, now).is_some() && flapping.hold(&id, end).is_none());
            now = now.plus(Millis(1_000));
        }
        assert_eq!(spans, [10, 20, 40, 80, 160, 320, 600, 600, 600]);
        now = now.plus(MEMORY);
        assert!(flapping.back(&id, now, Millis(600_000)).is_none(), "what is long ago does not count");
    }
}
