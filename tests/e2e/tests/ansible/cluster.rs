//! Five stock machines and the one where Ansible runs, as a person with deploy/ansible/README.md has them.

use std::io::Write as _;
use std::ops::RangeInclusive;
use std::path::Path;

use flota_e2e::{NEWER, Node, Stock, StockMachine, eventually, full_length, packages};
use flota_lab::Suite;

use crate::controller::{Played, play};
use crate::lint::collection;

const MEMBER: StockMachine = StockMachine { suite: Suite::Trixie, packages: &[] };
const MACHINES: [StockMachine; 6] = [
    MEMBER,
    MEMBER,
    MEMBER,
    StockMachine { suite: Suite::Bookworm, packages: &[] },
    StockMachine { suite: Suite::Forky, packages: &[] },
    StockMachine { suite: Suite::Trixie, packages: &["ansible-core", "ansible-lint", "openssh-client"] },
];

/// The machine where Ansible runs.
const CONTROLLER: usize = 6;

/// Five machines, three of them with etcd.
const INVENTORY: &str = "
flota:
  hosts:
    m1: {flota_metadata: {rack: r1}}
    m2: {flota_metadata: {rack: r2}}
    m3: {flota_metadata: {rack: r3}}
    m4: {flota_metadata: {rack: r1}}
    m5: {flota_metadata: {rack: r2}, flota_public_ipv4: 192.0.2.15}
  vars: {ansible_user: root, ansible_python_interpreter: /usr/bin/python3, flota_deb: /root/flota.deb}
flota_etcd:
  hosts: {m1: , m2: , m3: }
";

/// A second cluster, of machines that left the first: no etcd, tokens, and the package by URL.
const TOKENS: &str = "
flota:
  hosts: {m4: , m5: }
  vars: {ansible_user: root, ansible_python_interpreter: /usr/bin/python3, flota_url: http://m6:8000/newer.deb}
";

/// A signed apt repository with a package that is newer still, and all of it over HTTP at port 8000.
const REPOSITORY: &str = "set -e
apt-get -qq update
apt-get -qq -y install apt-utils gnupg
mkdir /root/repository
dpkg-deb --raw-extract newer.deb newest
sed -i 's/^Version: .*/&2/' newest/DEBIAN/control
dpkg-deb --root-owner-group -Zgzip -z1 --build newest repository/newest.deb
cp newer.deb repository
cd repository
apt-ftparchive packages . > Packages
apt-ftparchive release . > ../Release
mv ../Release .
gpg --batch --quiet --passphrase '' --quick-generate-key repository default default never
gpg --batch --clearsign --output InRelease Release
gpg --armor --export repository > /root/repository.asc
systemd-run --quiet --unit repository --working-directory /root/repository python3 -m http.server 8000
";

/// Something to run on every machine.
const EVERYWHERE: &str = "[Service]
EnvironmentFile=/etc/environment
ExecStart=/bin/sh -c 'echo $COREOS_PUBLIC_IPV4 > /run/everywhere; exec sleep infinity'

[X-Fleet]
Global=true
";

fn figure(text: &str) {
    let _ = writeln!(std::io::stderr(), "figure: ansible: {text}");
}

fn told(what: &str, played: &Played) {
    figure(&format!("{what}: {:.0} s, changed: {}", played.took, played.changed()));
}

/// What tells one run of a unit from the next.
#[track_caller]
fn runs(stock: &Stock, machines: RangeInclusive<usize>) -> Vec<String> {
    machines
        .map(|number| stock.m(number).ask("systemctl show --property InvocationID --value everywhere.service"))
        .collect()
}

#[track_caller]
fn machines(node: &Node<'_>) -> usize {
    node.ask("flota list-machines --no-legend").lines().filter(|line| line.contains(" ready ")).count()
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test --e2e"]
fn stock_machines_become_a_cluster_are_upgraded_and_leave() {
    if !full_length() {
        figure("left to the full run (cargo xtask test --e2e)");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let stock = Stock::boot("ansible", "10.78.243.0/24", &MACHINES);
    let controller = stock.m(CONTROLLER);
    equip(&stock, scratch.path());

    controller.run("cd ansible && ansible-lint --offline --profile production --strict").ok();
    refuses_bad_input(&controller);
    checks_without_changing(&stock, &controller);
    becomes_a_cluster(&stock, &controller);
    renews_certificates(&stock, &controller);
    upgrades(&stock, &controller);
    lets_machines_go(&stock, &controller);
    joins_by_tokens(&stock, &controller);
    upgrades_from_a_repository(&stock, &controller);
}

/// What a person brings along: the collection, the package, an inventory.
fn equip(stock: &Stock, scratch: &Path) {
    let controller = stock.m(CONTROLLER);
    let first = scratch.join("flota.deb");
    std::fs::copy(&packages().own, &first).unwrap();
    for path in [&first, &packages().newer, &collection()] {
        stock.copy(path, CONTROLLER);
    }
    controller.write("inventory.yml", INVENTORY);
    controller.write("tokens.yml", TOKENS);
    controller.run("ansible-galaxy collection install /root/ansible").ok();
    controller.run(REPOSITORY).ok();
}

/// Each with a word on how to mend it, and before anything changes.
fn refuses_bad_input(controller: &Node<'_>) {
    let site = "-i inventory.yml flota.cluster.site";
    let both = "-e '{\"flota_store_endpoints\": [\"https://192.0.2.1:2379\"]}'";
    play(controller, &format!("{site} {both}")).refused("A cluster has one store. Give only one of");
    play(controller, &format!("{site} -e flota_deb=/root/none.deb")).refused("There is no file /root/none.deb here");
    play(controller, &format!("{site} -e flota_url=http://192.0.2.1/x.deb")).refused("Give only one of flota_deb");
    play(controller, &format!("{site} -e '{{\"flota_suites\": [\"sid\"]}}'")).refused("this role knows Debian sid");
    play(controller, &format!("{site} --limit m4,m5 -e '{{\"flota_etcd_members\": [\"m1\", \"m2\"]}}'"))
        .refused("put 1, 3 or 5");
    play(controller, "-i inventory.yml flota.cluster.remove").refused("Say which machines are to leave");
    controller.write("away.yml", TOKENS.replace("{m4: , m5: }", "{m9: {ansible_host: 10.78.243.99}, m4: }"));
    let away = "-i away.yml flota.cluster.site -e ansible_ssh_timeout=5";
    play(controller, away).refused("m4 needs m9");
}

fn checks_without_changing(stock: &Stock, controller: &Node<'_>) {
    let played = play(controller, "-i inventory.yml flota.cluster.site --check").ok();
    told("check mode before the first run", &played);
    for number in 1..=5 {
        stock.m(number).run("test ! -e /etc/flota && test ! -e /usr/bin/docker && ! grep COREOS /etc/environment").ok();
    }
}

fn becomes_a_cluster(stock: &Stock, controller: &Node<'_>) {
    let site = "-i inventory.yml flota.cluster.site";
    let played = play(controller, site).ok();
    told("five machines, three-member TLS etcd", &played);
    let played = play(controller, site).ok().nothing_changed();
    told("the same again", &played);
    let played = play(controller, &format!("{site} --check")).ok().nothing_changed();
    told("check mode after it", &played);

    let m4 = stock.m(4);
    assert_eq!(machines(&m4), 5);
    let with = "--cacert /etc/flota/pki/ca.pem --cert /etc/flota/pki/machine.pem --key /etc/flota/pki/machine-key.pem";
    let list = format!("ETCDCTL_API=3 etcdctl --endpoints https://{}:2379 {with} member list", stock.m(1).address);
    assert_eq!(stock.m(1).ask(&list).lines().filter(|line| line.contains("started")).count(), 3);
    m4.run("stat --format %a /etc/flota/pki/machine-key.pem").ok().out("600\n");
    stock.m(5).run("grep COREOS /etc/environment").out_has("COREOS_PUBLIC_IPV4=192.0.2.15");

    m4.write("everywhere.service", EVERYWHERE);
    m4.run("flota start everywhere.service").ok();
    for number in 1..=5 {
        let node = stock.m(number);
        eventually("the global unit runs", 20, || {
            let ran = node.run("systemctl is-active everywhere.service");
            if ran.code == 0 { Ok(()) } else { Err(ran.to_string()) }
        });
    }
    assert_eq!(stock.m(5).ask("cat /run/everywhere"), "192.0.2.15");
}

/// One that ends before the run wants it to end is made anew, and what uses it goes on.
fn renews_certificates(stock: &Stock, controller: &Node<'_>) {
    let (m1, m2) = (stock.m(1), stock.m(2));
    let print = "sha256sum /etc/flota/pki/machine.pem /etc/flota/pki/machine-key.pem";
    let before = m2.ask(print);
    play(controller, "-i inventory.yml flota.cluster.site --limit m2 -e flota_tls_renew_days=900").ok();
    let after = m2.ask(print);
    assert_ne!(before.lines().next(), after.lines().next(), "the certificate is the old one");
    assert_eq!(before.lines().next_back(), after.lines().next_back(), "the key is another one");
    m2.run("systemctl restart etcd.service").ok();
    assert_eq!(machines(&m1), 5);
}

fn upgrades(stock: &Stock, controller: &Node<'_>) {
    let before = runs(stock, 1..=5);
    let upgrade = "-i inventory.yml flota.cluster.upgrade -e flota_deb=/root/newer.deb";
    let played = play(controller, upgrade).ok();
    told("rolling upgrade", &played);
    for number in 1..=5 {
        stock.m(number).run("dpkg-query --show --showformat '${Version}' flota").out_has(NEWER);
    }
    assert_eq!(runs(stock, 1..=5), before, "a unit was restarted");
    assert_eq!(machines(&stock.m(1)), 5);
    play(controller, upgrade).ok().nothing_changed();
}

fn lets_machines_go(stock: &Stock, controller: &Node<'_>) {
    let before = runs(stock, 4..=5);
    play(controller, "-i inventory.yml flota.cluster.remove --limit m1").refused("has a member of the cluster's etcd");
    let remove = "-i inventory.yml flota.cluster.remove --limit m4,m5";
    let played = play(controller, remove).ok();
    told("two machines leave and keep their units", &played);
    play(controller, remove).ok().nothing_changed();
    assert_eq!(runs(stock, 4..=5), before, "a unit was restarted");
    for number in 4..=5 {
        stock.m(number).run("test ! -e /usr/bin/flota && test ! -e /etc/flota && test ! -e /var/lib/flota").ok();
    }
    assert_eq!(stock.m(1).ask("flota list-machines --no-legend").lines().count(), 3);
}

fn joins_by_tokens(stock: &Stock, controller: &Node<'_>) {
    let site = "-i tokens.yml flota.cluster.site";
    let played = play(controller, site).ok();
    told("two machines, the store in the first one's daemon", &played);
    play(controller, site).ok().nothing_changed();
    let m4 = stock.m(4);
    assert_eq!(machines(&m4), 2);
    assert_eq!(m4.ask("flota token list"), "TOKEN  ENDS");

    let played = play(controller, "-i tokens.yml flota.cluster.remove --limit m5 -e flota_leave=drain").ok();
    told("one machine is drained and leaves", &played);
    assert_eq!(machines(&m4), 1);
    let token = m4.ask("flota token create --output json | sed -n 's/.*\"token\": \"\\(.*\\)\".*/\\1/p'");
    let wrong = format!("00000000{}", &token[8..]);
    let join = format!("{site} --limit m5 -e flota_join_address={}", m4.address);
    play(controller, &format!("{join} -e flota_join_token=secret")).refused("flota_join_token is not a token");
    play(controller, &format!("{join} -e flota_join_token={wrong}")).refused("this token lets nobody in");
    play(controller, &format!("{join} -e flota_join_token={token}")).ok();
    assert_eq!(machines(&m4), 2);
}

fn upgrades_from_a_repository(stock: &Stock, controller: &Node<'_>) {
    let before = runs(stock, 1..=3);
    let three = INVENTORY.replace(", flota_deb: /root/flota.deb", "");
    let left = |line: &&str| !line.contains("m4:") && !line.contains("m5:");
    let three: Vec<&str> = three.lines().filter(left).collect();
    controller.write("three.yml", three.join("\n"));
    let repository = "-e flota_apt_uri=http://m6:8000/ -e flota_apt_key=/root/repository.asc";
    play(controller, &format!("-i three.yml flota.cluster.upgrade {repository}")).ok();
    for number in 1..=3 {
        stock.m(number).run("dpkg-query --show --showformat '${Version}' flota").out_has(&format!("{NEWER}2"));
    }
    assert_eq!(runs(stock, 1..=3), before, "a unit was restarted");
    play(controller, &format!("-i three.yml flota.cluster.site {repository}")).ok().nothing_changed();
}
