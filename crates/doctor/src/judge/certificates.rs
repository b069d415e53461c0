//! How long certificates are good for.

use crate::{Certificate, Facts, Finding, Issuer};

const DAY: i64 = 24 * 60 * 60;
/// How long before its end a certificate is spoken of.
const WARN_BEFORE_DAYS: i64 = 90;

pub(super) fn certificates(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "certificates";
    let all = match &facts.certificates {
        Ok(all) => all,
        Err(why) => return vec![Finding::blind(CHECK, why)],
    };
    if all.is_empty() {
        return vec![Finding::ok(CHECK, "none needed: the store is on a socket of this machine")];
    }
    let wrong: Vec<Finding> = all.iter().filter_map(|one| wrong(CHECK, one, facts.now)).collect();
    if !wrong.is_empty() {
        return wrong;
    }
    let ends = all.iter().filter_map(|one| one.validity.as_ref().ok()?.as_ref().ok().map(|it| it.until)).min();
    let days = ends.map_or(0, |until| (until - facts.now) / DAY);
    vec![Finding::ok(CHECK, format!("good for {days} days"))]
}

fn wrong(check: &'static str, certificate: &Certificate, now: i64) -> Option<Finding> {
    let path = &certificate.path;
    let validity = match &certificate.validity {
        Err(why) => return Some(Finding::blind(check, why)),
        Ok(Err(why)) => return Some(Finding::fail(check, format!("{path}: {why}"), renewal(certificate))),
        Ok(Ok(validity)) => validity,
    };
    if now < validity.from {
        let days = (validity.from - now) / DAY + 1;
        let what =
            format!("{path} is good only in {days} days: this machine's clock is behind, or that of its maker ahead");
        return Some(Finding::fail(check, what, "timedatectl; timedatectl set-ntp true"));
    }
    if now > validity.until {
        let what = format!("{path} ended {} days ago: the store lets nobody in with it", (now - validity.until) / DAY);
        return Some(Finding::fail(check, what, renewal(certificate)));
    }
    let days = (validity.until - now) / DAY;
    let soon = || Finding::warn(check, format!("{path} ends in {days} days"), renewal(certificate));
    (days < WARN_BEFORE_DAYS).then(soon)
}

/// How to come by a new one.
fn renewal(certificate: &Certificate) -> String {
    match certificate.issuer {
        Issuer::Own => "systemctl restart flota (it makes a new one; no unit stops)".to_owned(),
        Issuer::Token => {
            "flota token create, on a machine of the cluster; then here what it prints: flota join ...".to_owned()
        }
        Issuer::People => format!("replace {}, then: systemctl restart flota (no unit stops)", certificate.path),
    }
}
