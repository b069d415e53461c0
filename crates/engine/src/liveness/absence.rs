//! One machine's absence: who was asked after it, what they said, and when it counts as lost.

use std::collections::BTreeMap;
use std::fmt;

use flota_registry::{MachineId, Millis};

/// How long after the last round of questions a machine that is not lost is asked after again.
const ASK_AGAIN: Millis = Millis(2_000);
/// How long a question may stay without an answer; after that it counts as answered with silence, so that a question
/// that got lost keeps no dead machine alive.
const PATIENCE: Millis = Millis(3_000);
/// The least grace of a machine that cannot be asked after: there is no second opinion, so it is given more time.
const UNASKED_GRACE: Millis = Millis(5_000);
/// How many rounds in a row must find nobody when a machine has answered since its lease was gone: one that comes and
/// goes on a bad network is not lost because of one bad moment.
const SILENCES_OF_ONE_THAT_ANSWERED: u32 = 2;

/// What somebody found who tried to reach a machine, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Its daemon answered, with its own machine id.
    Alive,
    /// The machine refused the connection: its kernel lives, its daemon does not.
    NoDaemon,
    /// Nobody answered.
    Silent,
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reach::Alive => "alive",
            Reach::NoDaemon => "there, without its daemon",
            Reach::Silent => "silent",
        })
    }
}

/// Why a machine counts as lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Nobody could reach it.
    Silence,
    /// It said that it goes down.
    Goodbye,
    /// People removed it.
    Removed,
}

/// Who gives an opinion: another machine, or the leader itself.
type Witness = Option<MachineId>;

/// A machine whose lease is gone.
#[derive(Debug, Clone)]
pub(super) struct Absence {
    since: Millis,
    /// Where it can be asked after; none: nowhere, or there is nothing on it to be careful with.
    pub(super) peer: Option<String>,
    /// Why nobody needs to be asked.
    pub(super) certain: Option<Loss>,
    /// The questions without an answer, with the time they were asked.
    open: BTreeMap<Witness, Millis>,
    /// When the last round of questions began.
    round_at: Option<Millis>,
    pub(super) rounds: usize,
    /// Rounds in a row that found nobody.
    silences: u32,
    /// Whether it was reached since its lease was gone.
    answered: bool,
    /// Whether all of the current round found nobody so far.
    round_is_silent: bool,
    lost: Option<Loss>,
}

impl Absence {
    pub(super) fn new(since: Millis) -> Absence {
        Absence {
            since,
            peer: None,
            certain: None,
            open: BTreeMap::new(),
            round_at: None,
            rounds: 0,
            silences: 0,
            answered: false,
            round_is_silent: false,
            lost: None,
        }
    }

    pub(super) fn since(&self) -> Millis {
        self.since
    }

    pub(super) fn loss(&self) -> Option<Loss> {
        self.lost
    }

    /// Whether it was reached although its lease is gone, and nothing speaks for its loss since.
    pub(super) fn is_reached(&self) -> bool {
        self.answered && self.lost.is_none()
    }

    /// Questions without an answer.
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    /// Takes in an opinion. One that comes after it was given up on still counts if it is good news.
    pub(super) fn take(&mut self, witness: &Witness, found: Reach) {
        let expected = self.open.remove(witness).is_some();
        if found != Reach::Silent {
            self.answered = true;
            self.silences = 0;
            self.round_is_silent = false;
        }
        if expected {
            self.end_round();
        }
    }

    fn end_round(&mut self) {
        if self.open.is_empty() && self.round_is_silent {
            self.silences += 1;
            self.round_is_silent = false;
        }
    }

    /// Draws the consequences of the time being `now`; answers with the loss when the machine has just become lost.
    pub(super) fn advance(&mut self, now: Millis, grace: Millis) -> Option<Loss> {
        let before = self.open.len();
        self.open.retain(|_, asked| now < asked.plus(PATIENCE));
        if self.open.len() < before {
            self.end_round();
        }
        if self.lost.is_none() && self.loss_at(grace).is_some_and(|at| at <= now) {
            self.lost = Some(self.certain.unwrap_or(Loss::Silence));
            return self.lost;
        }
        None
    }

    /// From when on it counts as lost, as far as is known.
    fn loss_at(&self, grace: Millis) -> Option<Millis> {
        if self.certain.is_some() {
            return Some(self.since);
        }
        if self.peer.is_none() {
            return Some(self.since.plus(grace.max(UNASKED_GRACE)));
        }
        let needed = if self.answered { SILENCES_OF_ONE_THAT_ANSWERED } else { 1 };
        (self.silences >= needed).then(|| self.since.plus(grace))
    }

    /// When the next round of questions is due, if one is.
    pub(super) fn round_due(&self) -> Option<Millis> {
        let asks = self.lost.is_none() && self.peer.is_some() && self.open.is_empty();
        asks.then(|| self.round_at.map_or(self.since, |at| at.plus(ASK_AGAIN)))
    }

    /// Notes that these were asked.
    pub(super) fn begin_round(&mut self, now: Millis, witnesses: impl Iterator<Item = Witness>) {
        self.open = witnesses.map(|witness| (witness, now)).collect();
        self.round_at = Some(now);
        self.round_is_silent = true;
        self.rounds += 1;
    }

    /// When something is due besides a round of questions.
    pub(super) fn due(&self, grace: Millis) -> Option<Millis> {
        if self.lost.is_some() {
            return None;
        }
        let given_up = self.open.values().map(|asked| asked.plus(PATIENCE)).min();
        given_up.into_iter().chain(self.loss_at(grace)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Millis = Millis(1_000);

    /// The leader itself, and another machine.
    fn witnesses() -> [Witness; 2] {
        [None, Some(format!("{:032x}", 2).parse().unwrap())]
    }

    /// Gone since 0, asked after at once by the leader and another machine.
    fn asked() -> Absence {
        let mut absence = Absence::new(Millis(0));
        absence.peer = Some("192.0.2.7:4002".to_owned());
        assert_eq!(absence.round_due(), Some(Millis(0)));
        absence.begin_round(Millis(0), witnesses().into_iter());
        absence
    }

    #[test]
    fn all_silent_and_the_grace_passed_is_lost() {
        let ([me, other], mut absence) = (witnesses(), asked());
        absence.take(&me, Reach::Silent);
        assert_eq!(absence.advance(Millis(500), GRACE), None);
        absence.take(&other, Reach::Silent);
        assert_eq!((absence.advance(Millis(600), GRACE), absence.due(GRACE)), (None, Some(GRACE)));
        assert_eq!(absence.advance(GRACE, GRACE), Some(Loss::Silence));
        assert_eq!(
            (absence.due(GRACE), absence.round_due(), absence.advance(Millis(9_000), GRACE)),
            (None, None, None)
        );
    }

    #[test]
    fn one_good_opinion_outweighs_all_others() {
        for (good, first) in [(Reach::Alive, true), (Reach::NoDaemon, true), (Reach::Alive, false)] {
            let ([me, other], mut absence) = (witnesses(), asked());
            let (one, two) = if first { (me, other) } else { (other, me) };
            absence.take(&one, good);
            absence.take(&two, Reach::Silent);
            assert_eq!(absence.advance(Millis(60_000), GRACE), None, "{good:?}");
            assert_eq!(absence.round_due(), Some(ASK_AGAIN));
        }
    }

    #[test]
    fn one_that_has_answered_must_be_silent_twice_in_a_row() {
        let ([me, other], mut absence) = (witnesses(), asked());
        absence.take(&me, Reach::Alive);
        absence.take(&other, Reach::Silent);
        let mut now = Millis(0);
        let mut round = |absence: &mut Absence, found| {
            now = now.plus(ASK_AGAIN);
            absence.begin_round(now, [None].into_iter());
            absence.take(&None, found);
            absence.advance(now, GRACE)
        };
        assert_eq!(round(&mut absence, Reach::Silent), None);
        assert_eq!(round(&mut absence, Reach::NoDaemon), None);
        assert_eq!(round(&mut absence, Reach::Silent), None);
        assert_eq!(round(&mut absence, Reach::Silent), Some(Loss::Silence));
    }

    #[test]
    fn a_question_without_an_answer_counts_as_silence_in_the_end() {
        let ([me, _], mut absence) = (witnesses(), asked());
        absence.take(&me, Reach::Silent);
        assert_eq!((absence.advance(Millis(2_900), GRACE), absence.due(GRACE)), (None, Some(PATIENCE)));
        assert_eq!(absence.advance(PATIENCE, GRACE), Some(Loss::Silence));
    }

    #[test]
    fn good_news_that_comes_late_is_good_news() {
        let ([_, other], mut absence) = (witnesses(), asked());
        assert_eq!(absence.advance(Millis(2_900), Millis(10_000)), None);
        assert_eq!(absence.advance(PATIENCE, Millis(10_000)), None);
        absence.take(&other, Reach::Alive);
        assert_eq!(absence.advance(Millis(60_000), Millis(10_000)), None);
    }

    #[test]
    fn one_that_cannot_be_asked_after_is_given_more_time() {
        let mut absence = Absence::new(Millis(0));
        assert_eq!((absence.round_due(), absence.due(GRACE)), (None, Some(UNASKED_GRACE)));
        assert_eq!(absence.advance(Millis(4_999), GRACE), None);
        assert_eq!(absence.advance(UNASKED_GRACE, GRACE), Some(Loss::Silence));
        let patient = Absence::new(Millis(0)).due(Millis(60_000));
        assert_eq!(patient, Some(Millis(60_000)), "a longer grace is a longer grace");
    }

    #[test]
    fn one_that_said_goodbye_is_lost_at_once() {
        let mut absence = asked();
        absence.certain = Some(Loss::Goodbye);
        assert_eq!(absence.advance(Millis(0), GRACE), Some(Loss::Goodbye));
    }
}
