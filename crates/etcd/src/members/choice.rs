//! Which member of the store is asked, and when it is doubted: decided here, carried out elsewhere.

use std::time::Duration;

/// A member that has work under way and is silent for this long is asked whether it still serves. Longer than the pause between two
/// renewals of a lease of 5 s, so that a member that a session is held with is never asked.
pub(super) const ASK_AFTER: Duration = Duration::from_secs(2);

/// The member in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chosen {
    /// Its place in the list of endpoints.
    pub member: usize,
    /// Tells this choice from earlier ones of the same member.
    turn: u64,
}

/// What a new choice means for what is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The member in use serves: nothing changes.
    Stays(Chosen),
    /// Another one does: what is under way on the old one is cut.
    Moves(Chosen),
}

/// One member at a time, kept for as long as nothing speaks against it.
#[derive(Debug, Default)]
pub(super) struct Choice {
    chosen: Option<Chosen>,
    doubted: bool,
    turns: u64,
}

impl Choice {
    /// The member to ask; none when one must be chosen first.
    pub(super) fn trusted(&self) -> Option<Chosen> {
        self.chosen.filter(|_| !self.doubted)
    }

    /// Something went wrong with a member. Whatever is told of an earlier choice came too late to matter.
    pub(super) fn doubt(&mut self, about: Chosen) {
        self.doubted |= self.chosen == Some(about);
    }

    /// This member was the first to prove that it serves.
    pub(super) fn choose(&mut self, member: usize) -> Outcome {
        self.doubted = false;
        match self.chosen {
            Some(chosen) if chosen.member == member => Outcome::Stays(chosen),
            _ => {
                self.turns += 1;
                let chosen = Chosen { member, turn: self.turns };
                self.chosen = Some(chosen);
                Outcome::Moves(chosen)
            }
        }
    }
}

/// What the member's watcher does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Look again after so long.
    Wait(Duration),
    /// Ask the member whether it serves.
    Ask,
}

/// Judges a member by how long it has been silent, and how much is under way on it.
pub(super) fn next(silent: Duration, under_way: usize) -> Next {
    match ASK_AFTER.checked_sub(silent) {
        _ if under_way == 0 => Next::Wait(ASK_AFTER),
        Some(left) if !left.is_zero() => Next::Wait(left),
        _ => Next::Ask,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(outcome: Outcome) -> Chosen {
        match outcome {
            Outcome::Moves(chosen) => chosen,
            Outcome::Stays(chosen) => panic!("stays at {chosen:?}"),
        }
    }

    #[test]
    fn a_member_is_kept_until_it_is_doubted() {
        let mut choice = Choice::default();
        assert_eq!(choice.trusted(), None);
        let first = moved(choice.choose(2));
        assert_eq!(choice.trusted(), Some(first));
        choice.doubt(first);
        assert_eq!(choice.trusted(), None);
        assert_eq!(choice.choose(2), Outcome::Stays(first), "a doubt that was wrong cuts nothing");
        assert_eq!(choice.trusted(), Some(first));
    }

    #[test]
    fn many_calls_that_fail_on_one_member_leave_it_once() {
        let mut choice = Choice::default();
        let old = moved(choice.choose(0));
        choice.doubt(old);
        let new = moved(choice.choose(1));
        choice.doubt(old);
        assert_eq!(choice.trusted(), Some(new), "what the old member did says nothing of the new one");
        choice.doubt(new);
        let back = moved(choice.choose(0));
        choice.doubt(old);
        assert_eq!(choice.trusted(), Some(back), "nor of a later choice of the same member");
    }

    #[test]
    fn only_a_silent_member_with_work_under_way_is_asked() {
        assert_eq!(next(Duration::from_secs(60), 0), Next::Wait(ASK_AFTER));
        assert_eq!(next(Duration::from_millis(500), 3), Next::Wait(Duration::from_millis(1500)));
        assert_eq!(next(ASK_AFTER, 3), Next::Ask);
        assert_eq!(next(Duration::from_secs(60), 1), Next::Ask);
    }
}
