//! `/v1/conf`: the configuration files of all machines.

use flota_api::conf::{ConfGroup, ConfSource, ConfState};
use flota_api::{Client, Endpoint};
use flota_registry::{Key, Op, Txn};

use super::rig::{PATIENCE, Rig, machine, soon};

const PATH: &str = "/v1/conf";

fn told(state: ConfState) -> ConfSource {
    let group = ConfGroup {
        resource: "a.toml".into(),
        state,
        revision: 7,
        error: Some("a check failed".into()),
        files: vec!["/etc/a".into()],
    };
    ConfSource { source: "/etc/confd".into(), resources: vec![group] }
}

#[tokio::test]
async fn what_this_program_tells_is_listed_with_what_other_machines_told() {
    let rig = Rig::start().await;
    let client = Client::new(Endpoint::Unix(rig.socket.clone()));
    assert_eq!(soon(client.conf()).await.unwrap(), []);
    soon(client.tell_conf(&told(ConfState::Failed))).await.unwrap();
    let value = br#"{"v":9}"#.to_vec();
    let later = Op::Put { key: Key::Conf(machine(2)).to_string(), value, lease: None };
    rig.commit(&Txn { compares: Vec::new(), ops: vec![later] }).await;
    let both = async {
        loop {
            let listed = client.conf().await.unwrap();
            if listed.len() == 2 {
                return listed;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let listed = tokio::time::timeout(PATIENCE, both).await.unwrap();
    assert_eq!(
        (listed[0].machine.clone(), &listed[0].sources),
        (machine(1).to_string(), &vec![told(ConfState::Failed)])
    );
    assert!(listed[1].problem.as_ref().is_some_and(|why| why.contains("upgrade flota")), "{listed:?}");
}

#[tokio::test]
async fn what_is_refused_and_with_which_code() {
    let rig = Rig::start().await;
    rig.put(PATH, "{").await.refuses(400, "unable to decode body");
    rig.put(PATH, r#"{"source":"","resources":[]}"#).await.refuses(400, "1 to 1024 bytes");
    let files = format!("[{}\"/x\"]", "\"/etc/some/file/or/other\",".repeat(12000));
    let resources = format!(r#"[{{"resource":"a","state":"ok","files":{files}}}]"#);
    let much = format!(r#"{{"source":"/c","resources":{resources}}}"#);
    rig.put(PATH, &much).await.refuses(413, "262144 are the most");
    rig.put(PATH, r#"{"source":"/c","resources":[]}"#).await.is(204);
    rig.send("DELETE", PATH, &[], "").await.refuses(405, "only GET and PUT supported");
    rig.link.send_replace(None);
    rig.get(PATH).await.refuses(503, "cannot reach its store");
}
