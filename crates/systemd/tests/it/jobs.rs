//! Links and jobs: outcomes, the race between reply and ending, lost connections.

use std::time::Duration;

use flota_systemd::{JobOutcome, Systemd, SystemdError, fake::Script};

use crate::{Rig, names, soon};

#[tokio::test]
async fn a_unit_lives_from_link_to_unlink() {
    let rig = Rig::new().await;
    assert_eq!(rig.systemd.version().await.unwrap(), "257 (fake)");
    rig.link("web@1.service").await;
    rig.systemd.reload().await.unwrap();
    assert_eq!(soon(rig.systemd.start("web@1.service")).await.unwrap(), JobOutcome::Done);
    assert_eq!(rig.fake.active()["web@1.service"], rig.dir.path().join("web@1.service"));
    assert_eq!(soon(rig.systemd.restart("web@1.service")).await.unwrap(), JobOutcome::Done);
    assert_eq!(soon(rig.systemd.stop("web@1.service")).await.unwrap(), JobOutcome::Done);
    assert!(rig.fake.active().is_empty());
    rig.systemd.unlink(&names(["web@1.service"])).await.unwrap();
    assert!(rig.fake.links().is_empty());
    let calls = ["link", "reload", "start", "restart", "stop", "unlink"];
    let expected = calls.map(|call| if call == "reload" { call.to_owned() } else { format!("{call} web@1.service") });
    assert_eq!(rig.fake.calls(), expected);
}

#[tokio::test]
async fn a_job_that_ends_before_the_reply_is_not_missed() {
    let rig = Rig::new().await;
    rig.link("quick.service").await;
    let script = Script { before_reply: true, ..Script::default() };
    rig.fake.script("quick.service", script);
    for _ in 0..200 {
        assert_eq!(soon(rig.systemd.start("quick.service")).await.unwrap(), JobOutcome::Done);
    }
}

#[tokio::test]
async fn outcomes_are_systemds_words() {
    let rig = Rig::new().await;
    rig.link("bad.service").await;
    let all = ["canceled", "timeout", "failed", "dependency", "skipped", "assert"];
    for word in all {
        let outcome = JobOutcome::from(word.to_owned());
        assert_eq!(outcome.as_str(), word);
        rig.fake.script("bad.service", Script { outcome: outcome.clone(), ..Script::default() });
        assert_eq!(soon(rig.systemd.start("bad.service")).await.unwrap(), outcome);
    }
    assert_eq!(JobOutcome::from("assert".to_owned()), JobOutcome::Other("assert".to_owned()));
}

#[tokio::test]
async fn many_jobs_at_once_each_get_their_own_outcome() {
    let rig = Rig::new().await;
    let mut jobs = Vec::new();
    for n in 0..100_u64 {
        let unit = format!("many@{n}.service");
        rig.link(&unit).await;
        let outcome = if n % 3 == 0 { JobOutcome::Failed } else { JobOutcome::Done };
        let delay = Duration::from_millis(n % 7 * 3);
        rig.fake.script(&unit, Script { outcome: outcome.clone(), delay, before_reply: n % 2 == 0 });
        let systemd = rig.systemd.clone();
        jobs.push(tokio::spawn(async move {
            assert_eq!(systemd.start(&unit).await.unwrap(), outcome, "{unit}");
        }));
    }
    for job in jobs {
        soon(job).await.unwrap();
    }
}

#[tokio::test]
async fn callers_of_the_same_job_all_hear_its_end() {
    let rig = Rig::new().await;
    rig.link("slow.service").await;
    let delay = Duration::from_millis(100);
    rig.fake.script("slow.service", Script { delay, ..Script::default() });
    let (one, two) =
        soon(async { tokio::join!(rig.systemd.start("slow.service"), rig.systemd.start("slow.service")) }).await;
    assert_eq!((one.unwrap(), two.unwrap()), (JobOutcome::Done, JobOutcome::Done));
}

#[tokio::test]
async fn a_stop_cancels_a_start_under_way() {
    let rig = Rig::new().await;
    rig.link("slow.service").await;
    rig.fake.script("slow.service", Script { delay: Duration::from_secs(60), ..Script::default() });
    let systemd = rig.systemd.clone();
    let starting = tokio::spawn(async move { systemd.start("slow.service").await });
    while rig.fake.calls().last().map(String::as_str) != Some("start slow.service") {
        tokio::task::yield_now().await;
    }
    // The call is recorded just before the job is queued; the two are served in order.
    assert_eq!(soon(rig.systemd.stop("slow.service")).await.unwrap(), JobOutcome::Done);
    assert_eq!(soon(starting).await.unwrap().unwrap(), JobOutcome::Canceled);
}

#[tokio::test]
async fn refusals_name_the_unit_and_systemds_reason() {
    let rig = Rig::new().await;
    let error = rig.systemd.start("none.service").await.unwrap_err();
    assert!(error.is_no_such_unit());
    assert_eq!(
        error.to_string(),
        "systemd refused to start none.service: Unit none.service not found. (org.freedesktop.systemd1.NoSuchUnit)"
    );
    let missing = rig.dir.path().join("missing.service");
    assert!(rig.systemd.link(&[missing]).await.unwrap_err().is_no_such_unit());
}

#[tokio::test]
async fn what_is_gone_already_is_no_error() {
    let rig = Rig::new().await;
    assert_eq!(rig.systemd.stop("none.service").await.unwrap(), JobOutcome::Done);
    rig.systemd.reset_failed("none.service").await.unwrap();
    rig.systemd.unlink(&[]).await.unwrap();
    rig.systemd.link(&[]).await.unwrap();
    rig.link("here.service").await;
    rig.systemd.unlink(&names(["none.service", "here.service", "nor-this.service"])).await.unwrap();
    assert!(rig.fake.links().is_empty());
}

#[tokio::test]
async fn a_lost_connection_ends_waits_and_signals_and_a_new_one_works() {
    let mut rig = Rig::new().await;
    rig.link("slow.service").await;
    rig.link("quick.service").await;
    soon(rig.systemd.start("quick.service")).await.unwrap();
    rig.fake.script("slow.service", Script { delay: Duration::from_secs(60), ..Script::default() });
    let systemd = rig.systemd.clone();
    let waiting = tokio::spawn(async move { systemd.start("slow.service").await });
    while rig.fake.calls().last().map(String::as_str) != Some("start slow.service") {
        tokio::task::yield_now().await;
    }
    rig.fake.disconnect().await;
    assert!(matches!(soon(waiting).await.unwrap(), Err(SystemdError::Disconnected)));
    soon(async { while rig.signals.recv().await.is_some() {} }).await;
    assert!(matches!(rig.systemd.reload().await, Err(SystemdError::Disconnected)));
    assert!(matches!(rig.systemd.start("quick.service").await, Err(SystemdError::Disconnected)));
    assert!(matches!(rig.systemd.states(&names(["quick.service"])).await, Err(SystemdError::Disconnected)));

    let connection = rig.fake.connect().await.unwrap();
    let (systemd, _signals) = Systemd::connect_to(connection).await.unwrap();
    let states = systemd.states(&names(["quick.service"])).await.unwrap();
    assert_eq!(states[0].active, "active");
}

#[tokio::test]
async fn the_last_handle_ends_the_signals() {
    let Rig { systemd, mut signals, .. } = Rig::new().await;
    drop(systemd.clone());
    assert_eq!(signals.try_recv(), None);
    drop(systemd);
    assert_eq!(soon(signals.recv()).await, None);
}

#[tokio::test]
async fn without_systemd_the_error_says_so() {
    if std::path::Path::new("/run/systemd/system").is_dir() {
        return;
    }
    assert!(matches!(Systemd::connect().await, Err(SystemdError::NotSystemd)));
}
